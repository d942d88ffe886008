import type { Bases } from '../bases/bases.ts';
import type { FieldDoc, RecordDoc, StoredAttachment, TableDoc } from '../bases/documents.ts';
import { findField, primaryField } from '../bases/fields.ts';
import type { Clock } from '../clock.ts';
import { fieldToFormulaValue } from '../formula/field-value.ts';
import { evaluate } from '../formula/formula.ts';
import { FormulaFailure, type FormulaValue } from '../formula/value.ts';
import type { User } from '../oauth/grant.ts';
import type { AttachmentLinks } from './attachment-links.ts';
import { FormulaView, lastChange, type Formulas } from './formulas.ts';
import type { Records } from './records.ts';
import { aggregate, numberCell, plainText } from './rollup.ts';

/** Computed cells may build on computed cells; a longer chain is a circle and reads as an error. */
const MAX_CHAIN = 24;
const ERROR_CELL = { error: '#ERROR!' };

/** Reads cells in the form of the REST API ("V1"), computing those that are not stored. Empty cells are undefined. */
export class Cells {
  private chain = 0;
  private readonly readForFormula = this.formulaValue.bind(this);

  constructor(
    private readonly bases: Bases,
    private readonly records: Records,
    private readonly formulas: Formulas,
    private readonly attachments: AttachmentLinks,
    private readonly findUser: (userId: string) => User | undefined,
    private readonly clock: Clock,
  ) {}

  read(table: TableDoc, record: RecordDoc, field: FieldDoc): unknown {
    switch (field.type) {
      case 'multipleAttachments': {
        const stored = record.cells[field.id] as StoredAttachment[] | undefined;
        return stored?.map((attachment) => this.attachments.publish(attachment));
      }
      case 'autoNumber':
        return record.autoNumber;
      case 'createdTime':
        return this.time(field, record.createdTime);
      case 'lastModifiedTime':
        return this.time(field, this.modifiedTime(field, record));
      case 'createdBy':
        return this.collaborator(record.createdById);
      case 'lastModifiedBy':
        return this.collaborator(record.modifiedById);
      case 'count':
      case 'rollup':
      case 'multipleLookupValues':
      case 'formula':
      case 'button':
        return this.guarded(() => this.compute(table, record, field));
      default:
        return record.cells[field.id];
    }
  }

  /** What the cell is inside a formula: as `read`, but links stand for the names of the linked records. */
  formulaValue(table: TableDoc, record: RecordDoc, field: FieldDoc): FormulaValue {
    const cell =
      field.type === 'multipleRecordLinks'
        ? this.linkedNames(record, field)
        : this.read(table, record, field);
    return fieldToFormulaValue(field, cell, this.formulas.readings());
  }

  /** A view on the record for `evaluate`, to be moved along with `turnTo`. */
  formulaView(table: TableDoc, record: RecordDoc): FormulaView {
    return new FormulaView(table, record, this.readForFormula, this.formulas.readings(), this.clock.now());
  }

  /** The record's name: its primary cell as text. */
  name(table: TableDoc, record: RecordDoc): string {
    const field = primaryField(table);
    if (field.type === 'multipleRecordLinks') return this.linkedNames(record, field)?.join(', ') ?? '';
    return plainText(this.read(table, record, field));
  }

  /** Names of the linked records, in the order of the cell; undefined when there are none. */
  linkedNames(record: RecordDoc, link: FieldDoc): string[] | undefined {
    const linked = this.linkedRecords(record, link);
    if (linked === undefined) return undefined;
    return linked.records.map((other) => plainText(this.guarded(() => this.name(linked.table, other))));
  }

  /** The records that a link cell points at; undefined when there are none. */
  linkedRecords(record: RecordDoc, link: FieldDoc): { table: TableDoc; records: RecordDoc[] } | undefined {
    const ids = record.cells[link.id] as string[] | undefined;
    const table = this.bases.table(link.options?.linkedTableId ?? '');
    if (ids === undefined || table === undefined) return undefined;
    const collection = this.records.of(table.id);
    const records = ids.map((id) => collection.get(id)).filter((found) => found !== undefined);
    return records.length > 0 ? { table, records } : undefined;
  }

  /** What lookups and rollups build on: per linked record, the values of its cell as a list. */
  lookedUp(table: TableDoc, record: RecordDoc, field: FieldDoc): { recordId: string; values: unknown[] }[] {
    if (field.options?.isValid === false) return [];
    const link = findField(table, field.options?.recordLinkFieldId ?? '');
    const linked = link && this.linkedRecords(record, link);
    const target = linked && findField(linked.table, field.options?.fieldIdInLinkedTable ?? '');
    if (linked === undefined || target === undefined) return [];
    return linked.records.map((other) => {
      const value = this.read(linked.table, other, target);
      return {
        recordId: other.id,
        values: value === undefined ? [] : Array.isArray(value) ? value : [value],
      };
    });
  }

  private compute(table: TableDoc, record: RecordDoc, field: FieldDoc): unknown {
    switch (field.type) {
      case 'count': {
        if (field.options?.isValid === false) return undefined;
        const link = findField(table, field.options?.recordLinkFieldId ?? '');
        return (link && (record.cells[link.id] as string[] | undefined)?.length) ?? 0;
      }
      case 'multipleLookupValues': {
        const values = this.lookedUp(table, record, field).flatMap((one) => one.values);
        return values.length > 0 ? values : undefined;
      }
      case 'rollup': {
        if (field.options?.isValid === false) return ERROR_CELL;
        const values = this.lookedUp(table, record, field).flatMap((one) => one.values);
        return aggregate(field.aggregation ?? 'ARRAYJOIN', values);
      }
      case 'button': {
        const { label, urlFormula } = field.button ?? { label: field.name };
        const url = urlFormula === undefined ? null : this.evaluateText(table, record, urlFormula);
        return { label, url: typeof url === 'string' ? url : null };
      }
      default:
        return this.formulaCell(table, record, field);
    }
  }

  private formulaCell(table: TableDoc, record: RecordDoc, field: FieldDoc): unknown {
    if (field.options?.isValid === false) return ERROR_CELL;
    const cell = this.evaluateText(table, record, field.options?.formula ?? '');
    const type = field.options?.result?.type;
    if (type === 'checkbox') return cell === undefined || cell === 0 ? undefined : true;
    return type === 'date' && typeof cell === 'string' ? cell.slice(0, 10) : cell;
  }

  private evaluateText(table: TableDoc, record: RecordDoc, text: string): unknown {
    try {
      return formulaResultCell(evaluate(this.formulas.parse(text), this.formulaView(table, record)));
    } catch {
      // A stored formula that does not parse is an error cell, not an error of the request.
      return ERROR_CELL;
    }
  }

  private guarded(compute: () => unknown): unknown {
    if (this.chain >= MAX_CHAIN) return ERROR_CELL;
    this.chain += 1;
    try {
      return compute();
    } finally {
      this.chain -= 1;
    }
  }

  private time(field: FieldDoc, iso: string | undefined): string | undefined {
    return field.options?.result?.type === 'date' ? iso?.slice(0, 10) : iso;
  }

  private modifiedTime(field: FieldDoc, record: RecordDoc): string | undefined {
    const fieldIds = field.options?.referencedFieldIds ?? [];
    const time = fieldIds.length > 0 ? lastChange(record, fieldIds) : record.modifiedTime;
    return time ?? (this.formulas.readings().neverModifiedIsBlank ? undefined : record.createdTime);
  }

  private collaborator(userId: string | undefined): unknown {
    if (userId === undefined) return undefined;
    const user = this.findUser(userId);
    return user === undefined ? { id: userId } : { id: user.id, email: user.email, name: user.name };
  }
}

/** The result of a formula as a cell: dates as ISO text, failures and odd numbers in their wrappers. */
function formulaResultCell(value: FormulaValue): unknown {
  if (value === null || value === '') return undefined;
  if (value instanceof FormulaFailure) return ERROR_CELL;
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'number') return numberCell(value);
  if (Array.isArray(value)) return value.length > 0 ? value.map(formulaResultCell) : undefined;
  return value;
}
