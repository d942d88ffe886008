/** A base as stored. What the caller may do in it depends on the grant, not on the base. */
export interface BaseDoc {
  id: string;
  name: string;
}

export interface TableDoc {
  id: string;
  baseId: string;
  name: string;
  description?: string | null;
  primaryFieldId: string;
  fields: FieldDoc[];
  views: ViewDoc[];
  /** The last number given to an `autoNumber` cell of this table. */
  lastAutoNumber?: number;
}

/**
 * A field as the meta API shows it, plus what the real service keeps to itself (`aggregation`, `button`).
 * Formulas refer to fields by id: `{fldXXXXXXXXXXXXXX}`.
 */
export interface FieldDoc {
  id: string;
  name: string;
  type: FieldType;
  description?: string;
  options?: FieldOptions;
  /** Rollups only, never shown: how the values of the linked records become one. Default ARRAYJOIN. */
  aggregation?: Aggregation;
  /** Buttons only, never shown: the label, and a formula for the address (absent: no address). */
  button?: { label: string; urlFormula?: string };
}

export type Aggregation =
  | 'SUM'
  | 'AVERAGE'
  | 'MIN'
  | 'MAX'
  | 'COUNT'
  | 'COUNTA'
  | 'COUNTALL'
  | 'AND'
  | 'OR'
  | 'ARRAYJOIN'
  | 'ARRAYUNIQUE'
  | 'CONCATENATE';

export const FIELD_TYPES = [
  'singleLineText',
  'multilineText',
  'richText',
  'email',
  'url',
  'phoneNumber',
  'number',
  'percent',
  'currency',
  'rating',
  'duration',
  'checkbox',
  'date',
  'dateTime',
  'singleSelect',
  'multipleSelects',
  'singleCollaborator',
  'multipleCollaborators',
  'multipleRecordLinks',
  'multipleAttachments',
  'barcode',
  'button',
  'autoNumber',
  'count',
  'createdTime',
  'lastModifiedTime',
  'createdBy',
  'lastModifiedBy',
  'formula',
  'rollup',
  'multipleLookupValues',
  'externalSyncSource',
  'aiText',
  'manualSort',
] as const;

export type FieldType = (typeof FIELD_TYPES)[number];

/** The options of every field type in one shape: each type uses only its own keys. */
export interface FieldOptions {
  precision?: number;
  symbol?: string;
  icon?: string;
  color?: string;
  max?: number;
  durationFormat?: string;
  dateFormat?: { name: string; format: string };
  timeFormat?: { name: string; format: string };
  /** `utc`, `client` or an IANA name. */
  timeZone?: string;
  choices?: Choice[];
  linkedTableId?: string;
  isReversed?: boolean;
  prefersSingleRecordLink?: boolean;
  inverseLinkFieldId?: string;
  viewIdForRecordSelection?: string;
  isValid?: boolean;
  recordLinkFieldId?: string;
  fieldIdInLinkedTable?: string;
  referencedFieldIds?: string[];
  formula?: string;
  result?: { type: FieldType; options?: FieldOptions } | null;
  prompt?: unknown;
}

export interface Choice {
  id: string;
  name: string;
  color?: string;
}

/** A view. Which records it shows and in what order is real, but never told by the API. */
export interface ViewDoc {
  id: string;
  name: string;
  type: 'grid' | 'form' | 'calendar' | 'gallery' | 'kanban' | 'timeline' | 'block';
  /** Records for which this formula includes (fields by id or name). Absent: all. */
  filterFormula?: string;
  /** Field ids, most significant first. Absent: order of creation. */
  sort?: { fieldId: string; direction: 'asc' | 'desc' }[];
  /** Grid views: fields hidden from people; the API returns their cells all the same. */
  hiddenFieldIds?: string[];
}

/**
 * A record as stored. `cells` holds, by field id, only non-empty cells of writable types, each in the REST form:
 * select cells are choice names, links are arrays of record ids (stored on both sides), collaborators are
 * `{id,email,name}`, dates `YYYY-MM-DD` or ISO with milliseconds, attachments are StoredAttachment[].
 */
export interface RecordDoc {
  id: string;
  tableId: string;
  /** ISO. */
  createdTime: string;
  /** ISO; absent until a person or the API changes a cell. */
  modifiedTime?: string;
  /** When each field was last changed, ISO by field id; absent for cells as created. */
  modifiedTimes?: Record<string, string>;
  /** User ids. */
  createdById?: string;
  modifiedById?: string;
  /** Given out per table, from 1. Seeds may leave it out: it is then given in order. */
  autoNumber?: number;
  /** How many comments `recordMetadata` reports. */
  commentCount?: number;
  cells: Record<string, unknown>;
}

/** An attachment as stored: its public address is made anew at each read, because it expires. */
export interface StoredAttachment {
  id: string;
  filename: string;
  /** Bytes. */
  size: number;
  /** MIME type. */
  type: string;
  width?: number;
  height?: number;
}

/** A base to start with. */
export interface SeedBase {
  id: string;
  name: string;
  tables: TableDoc[];
  records: RecordDoc[];
}
