import type {
  Choice,
  FieldDoc,
  FieldOptions,
  FieldType,
  RecordDoc,
  TableDoc,
  ViewDoc,
} from '../bases/documents.ts';
import type { Ids } from '../ids.ts';

const COLORS = [
  'blue',
  'cyan',
  'teal',
  'green',
  'yellow',
  'orange',
  'red',
  'pink',
  'purple',
  'gray',
] as const;

/** A table under construction: fields, views and records are named by field name, and stored by field id. */
export class SeedTable {
  readonly doc: TableDoc;
  readonly records: RecordDoc[] = [];
  private readonly ids: Ids;
  private readonly fieldIds = new Map<string, string>();

  /** The first field added becomes the primary one. */
  constructor(ids: Ids, baseId: string, name: string, description: string, id = ids.next('tbl')) {
    this.ids = ids;
    this.doc = { id, baseId, name, description, primaryFieldId: '', fields: [], views: [] };
  }

  add(name: string, type: FieldType, options?: FieldOptions, more?: Partial<FieldDoc>): FieldDoc {
    const field: FieldDoc = { id: this.ids.next('fld'), name, type, ...(options && { options }), ...more };
    this.doc.fields.push(field);
    this.fieldIds.set(name, field.id);
    if (this.doc.primaryFieldId === '') this.doc.primaryFieldId = field.id;
    return field;
  }

  select(
    name: string,
    type: 'singleSelect' | 'multipleSelects' | 'externalSyncSource',
    names: readonly string[],
  ): FieldDoc {
    return this.add(name, type, { choices: this.choices(names) });
  }

  /** `{Name}` in the text becomes `{fld…}`, as the upstream stores formulas. */
  formula(name: string, text: string, result: FieldOptions['result']): FieldDoc {
    const referenced = new Set<string>();
    const formula = text.replace(/\{([^}]+)\}/g, (_, reference: string) => {
      referenced.add(this.fieldId(reference));
      return `{${this.fieldId(reference)}}`;
    });
    return this.add(name, 'formula', { isValid: true, formula, referencedFieldIds: [...referenced], result });
  }

  count(name: string, link: string): FieldDoc {
    return this.add(name, 'count', { isValid: true, recordLinkFieldId: this.fieldId(link) });
  }

  lookup(name: string, link: string, target: FieldDoc): FieldDoc {
    return this.add(name, 'multipleLookupValues', this.through(link, target));
  }

  rollup(
    name: string,
    link: string,
    target: FieldDoc,
    aggregation: NonNullable<FieldDoc['aggregation']>,
  ): FieldDoc {
    return this.add(name, 'rollup', this.through(link, target), { aggregation });
  }

  view(name: string, type: ViewDoc['type'], more: Omit<Partial<ViewDoc>, 'id' | 'name' | 'type'> = {}): void {
    this.doc.views.push({ id: this.ids.next('viw'), name, type, ...more });
  }

  record(createdTime: string, cells: Record<string, unknown>, more: Partial<RecordDoc> = {}): RecordDoc {
    const record: RecordDoc = {
      id: this.ids.next('rec'),
      tableId: this.doc.id,
      createdTime,
      cells: {},
      ...more,
    };
    for (const name in cells) this.put(record, name, cells[name]);
    this.records.push(record);
    return record;
  }

  /** Empty values are left out, as they are in stored records. */
  put(record: RecordDoc, name: string, value: unknown): void {
    if (value === undefined || value === '' || value === false) return;
    if (Array.isArray(value) && value.length === 0) return;
    record.cells[this.fieldId(name)] = value;
  }

  fieldId(name: string): string {
    const id = this.fieldIds.get(name);
    if (id === undefined) throw new Error(`The table ${this.doc.name} has no field ${name}`);
    return id;
  }

  private choices(names: readonly string[]): Choice[] {
    return names.map((name, index) => ({
      id: this.ids.next('sel'),
      name,
      color: `${COLORS[index % COLORS.length] ?? 'gray'}Light2`,
    }));
  }

  private through(link: string, target: FieldDoc): FieldOptions {
    return {
      isValid: true,
      recordLinkFieldId: this.fieldId(link),
      fieldIdInLinkedTable: target.id,
      result: target.options?.result ?? {
        type: target.type,
        ...(target.options && { options: target.options }),
      },
    };
  }
}

/** Adds a link field on either side, each the inverse of the other. */
export function linkTables(
  [from, name]: [SeedTable, string],
  [to, inverseName]: [SeedTable, string],
  single: { from?: boolean; to?: boolean } = {},
): void {
  const field = from.add(name, 'multipleRecordLinks');
  const inverse = to.add(inverseName, 'multipleRecordLinks');
  field.options = {
    linkedTableId: to.doc.id,
    isReversed: false,
    prefersSingleRecordLink: single.from ?? false,
    inverseLinkFieldId: inverse.id,
  };
  inverse.options = {
    linkedTableId: from.doc.id,
    isReversed: false,
    prefersSingleRecordLink: single.to ?? false,
    inverseLinkFieldId: field.id,
  };
}

/** Links a record to others in `from`'s field and enters it in theirs, in the order of the calls. */
export function link(
  [from, name]: [SeedTable, string],
  record: RecordDoc,
  [to, inverseName]: [SeedTable, string],
  others: readonly RecordDoc[],
): void {
  if (others.length === 0) return;
  record.cells[from.fieldId(name)] = others.map((other) => other.id);
  const inverseId = to.fieldId(inverseName);
  for (const other of others) {
    const present = other.cells[inverseId];
    if (Array.isArray(present)) present.push(record.id);
    else other.cells[inverseId] = [record.id];
  }
}
