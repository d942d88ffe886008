import { baseId, tableId } from './contacts.ts';

/** What an edit made, and the place that the sandbox gave it among all. */
export interface Edited {
  created: string[];
  transaction: number;
}

/** Edits the contacts as a person would in the service's own pages: `create` or `update`, one transaction. */
export async function editContacts(sandboxUrl: string, edit: object): Promise<Edited> {
  const response = await fetch(`${sandboxUrl}/_control/edits`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ baseId, tableId, ...edit }),
  });
  if (!response.ok) throw new Error(`The sandbox did not take an edit: ${await response.text()}`);
  return (await response.json()) as Edited;
}
