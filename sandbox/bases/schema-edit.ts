import type { FieldSummary, TableChanges, Transaction } from '../changes/transaction.ts';
import type { SandboxContext } from '../context.ts';
import type { FieldDoc, FieldOptions, TableDoc } from './documents.ts';
import { findField } from './fields.ts';

type SchemaChanges = Pick<Transaction, 'changedTablesById' | 'createdTablesById' | 'destroyedTableIds'>;

/** Changes tables and fields, keeps what depends on them whole, and remembers all of it for one transaction. */
export class SchemaEdit {
  private readonly changed: Record<string, TableChanges> = {};
  private readonly created: NonNullable<SchemaChanges['createdTablesById']> = {};
  private readonly destroyed: string[] = [];

  constructor(
    private readonly context: SandboxContext,
    private readonly baseId: string,
  ) {}

  changes(): SchemaChanges {
    return {
      changedTablesById: this.changed,
      ...(Object.keys(this.created).length > 0 && { createdTablesById: this.created }),
      ...(this.destroyed.length > 0 && { destroyedTableIds: this.destroyed }),
    };
  }

  addTable(name: string, description: string | undefined, fields: FieldDoc[]): TableDoc {
    const { ids, bases } = this.context;
    const views: TableDoc['views'] = [{ id: ids.next('viw'), name: 'Grid view', type: 'grid' }];
    const primaryFieldId = fields[0]?.id ?? '';
    const table = {
      id: ids.next('tbl'),
      baseId: this.baseId,
      name,
      description,
      primaryFieldId,
      fields,
      views,
    };
    bases.putTable(table);
    this.created[table.id] = {
      metadata: { name, description: description ?? null },
      fieldsById: Object.fromEntries(fields.map((field) => [field.id, summary(field)])),
      recordsById: {},
    };
    return table;
  }

  renameTable(table: TableDoc, name: string, description: string | null | undefined): void {
    this.context.bases.putTable({ ...table, name, description });
    this.of(table.id).changedMetadata = {
      current: { name, description: description ?? null },
      previous: { name: table.name, description: table.description ?? null },
    };
  }

  /** Takes its records along, and the link fields of other tables that lead to it. */
  removeTable(table: TableDoc): void {
    for (const other of this.context.bases.tables(this.baseId)) {
      if (other.id === table.id) continue;
      for (const field of other.fields) {
        if (field.options?.linkedTableId === table.id) this.dropField(other.id, field);
      }
    }
    this.context.records.of(table.id).clear();
    this.context.bases.deleteTable(table.id);
    this.destroyed.push(table.id);
  }

  /** A link field gets its inverse in the linked table. */
  addField(table: TableDoc, field: FieldDoc): string {
    const linked = this.context.bases.table(field.options?.linkedTableId ?? '');
    if (field.type !== 'multipleRecordLinks' || linked === undefined) {
      this.appendField(table.id, field);
      return field.id;
    }
    const inverse: FieldDoc = {
      id: this.context.ids.next('fld'),
      name: linked.fields.some(({ name }) => name === table.name)
        ? `${table.name} (${field.name})`
        : table.name,
      type: 'multipleRecordLinks',
      options: {
        linkedTableId: table.id,
        isReversed: true,
        prefersSingleRecordLink: false,
        inverseLinkFieldId: field.id,
      },
    };
    const defaults = { isReversed: false, prefersSingleRecordLink: false };
    const options = { ...defaults, ...field.options, inverseLinkFieldId: inverse.id };
    this.appendField(table.id, { ...field, options });
    this.appendField(linked.id, inverse);
    return field.id;
  }

  renameField(table: TableDoc, field: FieldDoc, name: string): void {
    const fields = table.fields.map((one) => (one.id === field.id ? { ...one, name } : one));
    this.context.bases.putTable({ ...table, fields });
    const changedFieldsById = (this.of(table.id).changedFieldsById ??= {});
    changedFieldsById[field.id] = { current: { name }, previous: { name: field.name } };
  }

  /** Nothing is told of what becomes of the cells: the documentation names the definition alone. */
  retypeField(
    table: TableDoc,
    field: FieldDoc,
    type: FieldDoc['type'],
    options: FieldOptions | undefined,
  ): void {
    const { options: _, ...kept } = field;
    const fields = table.fields.map((one) =>
      one.id === field.id ? { ...kept, type, ...(options && { options }) } : one,
    );
    this.context.bases.putTable({ ...table, fields });
    const records = this.context.records.of(table.id);
    for (const record of [...records.values()]) {
      const { [field.id]: before, ...cells } = record.cells;
      const cell = convertedCell(before, type);
      if (before !== undefined)
        records.put(record.id, {
          ...record,
          cells: { ...cells, ...(cell !== undefined && { [field.id]: cell }) },
        });
    }
    const changedFieldsById = (this.of(table.id).changedFieldsById ??= {});
    changedFieldsById[field.id] = { current: { type }, previous: { type: field.type } };
  }

  /** Takes its cells along, and the inverse of a link. */
  removeField(table: TableDoc, field: FieldDoc): void {
    const linked = this.context.bases.table(field.options?.linkedTableId ?? '');
    const inverse = linked && findField(linked, field.options?.inverseLinkFieldId ?? '');
    this.dropField(table.id, field);
    if (linked !== undefined && inverse !== undefined && inverse.id !== field.id)
      this.dropField(linked.id, inverse);
  }

  private appendField(tableId: string, field: FieldDoc): void {
    const table = this.context.bases.table(tableId);
    if (table === undefined) return;
    this.context.bases.putTable({ ...table, fields: [...table.fields, field] });
    (this.of(tableId).createdFieldsById ??= {})[field.id] = summary(field);
  }

  private dropField(tableId: string, field: FieldDoc): void {
    const table = this.context.bases.table(tableId);
    if (table === undefined) return;
    this.context.bases.putTable({ ...table, fields: table.fields.filter(({ id }) => id !== field.id) });
    const records = this.context.records.of(tableId);
    for (const record of [...records.values()]) {
      if (record.cells[field.id] === undefined) continue;
      const { [field.id]: _, ...cells } = record.cells;
      records.put(record.id, { ...record, cells });
    }
    (this.of(tableId).destroyedFieldIds ??= []).push(field.id);
    this.invalidateReaders(field.id);
  }

  /** Computed fields that read a removed field stay, but say that they are no longer valid. */
  private invalidateReaders(fieldId: string): void {
    for (const table of this.context.bases.tables(this.baseId)) {
      if (!table.fields.some((field) => reads(field, fieldId))) continue;
      const fields = table.fields.map((field) =>
        reads(field, fieldId) ? { ...field, options: { ...field.options, isValid: false } } : field,
      );
      this.context.bases.putTable({ ...table, fields });
    }
  }

  private of(tableId: string): TableChanges {
    return (this.changed[tableId] ??= {});
  }
}

function reads({ options }: FieldDoc, fieldId: string): boolean {
  if (options === undefined) return false;
  return (
    options.recordLinkFieldId === fieldId ||
    options.fieldIdInLinkedTable === fieldId ||
    (options.formula?.includes(fieldId) ?? false)
  );
}

function summary({ name, type }: FieldDoc): FieldSummary {
  return { name, type };
}

/** What a cell says as one of another type; undefined where that can not hold it. */
function convertedCell(cell: unknown, type: FieldDoc['type']): unknown {
  const said = typeof cell === 'boolean' ? 'checked' : String(cell);
  switch (type) {
    case 'number':
      return Number.isFinite(Number(said)) ? Number(said) : undefined;
    case 'date':
      return /^\d{4}-\d\d-\d\d$/.test(said) ? said : undefined;
    case 'checkbox':
      return said === 'checked' ? true : undefined;
    default:
      return said;
  }
}
