const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether it has the form of the ids that PostgreSQL makes; any other is an error to ask the database about. */
export function isUuid(text: string): boolean {
  return uuid.test(text);
}
