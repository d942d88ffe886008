import { OTHER_TODAY_ZONE } from '../readings.ts';
import { midnightIn } from '../calendar.ts';
import { ofFields, strict, type FormulaFunction } from './signature.ts';

/** What a formula knows of its record and of the moment it runs. */
export const RECORD_FUNCTIONS: Readonly<Record<string, FormulaFunction>> = {
  RECORD_ID: strict(0, 0, (_, record) => record.id),
  CREATED_TIME: strict(0, 0, (_, record) => new Date(record.createdTime)),
  LAST_MODIFIED_TIME: ofFields((fieldNames, record) => {
    const modified =
      fieldNames.length > 0 && record.fieldsModifiedTime
        ? record.fieldsModifiedTime(fieldNames)
        : record.modifiedTime;
    if (modified !== undefined) return new Date(modified);
    return record.readings.neverModifiedIsBlank ? null : new Date(record.createdTime);
  }),
  NOW: strict(0, 0, (_, record) => new Date(record.now)),
  TODAY: strict(0, 0, (_, record) =>
    midnightIn(new Date(record.now), record.readings.todayIsUtc ? 'UTC' : OTHER_TODAY_ZONE),
  ),
};
