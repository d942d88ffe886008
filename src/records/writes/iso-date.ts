const isoPattern =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$/;

/** Whether a text is a calendar date of ISO 8601, with or without a time. */
export function isIsoDate(text: string): boolean {
  const [, year, month, day, hour = 0, minute = 0, second = 0, zone = 'Z'] = isoPattern.exec(text) ?? [];
  if (year === undefined) return false;
  const at = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (at.getUTCMonth() !== Number(month) - 1 || at.getUTCDate() !== Number(day)) return false;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return false;
  const [, zoneHours = 0, zoneMinutes = 0] = /^.(\d\d):?(\d\d)$/.exec(zone) ?? [];
  return Number(zoneHours) <= 23 && Number(zoneMinutes) <= 59;
}
