import type { FieldDoc, RecordDoc, TableDoc } from '../bases/documents.ts';
import { findField } from '../bases/fields.ts';
import type { Settings } from '../control/settings.ts';
import { FormulaError } from '../formula/formula-error.ts';
import { parseFormula, type Formula } from '../formula/formula.ts';
import { DEFAULT_FORMULA_READINGS, type FormulaReadings } from '../formula/readings.ts';
import type { FormulaRecord, FormulaValue } from '../formula/value.ts';

/** Compiled formulas kept, oldest out. */
const MAX_COMPILED = 200;

/** Compiles each formula text once, and anew when a switch changes how formulas are read. */
export class Formulas {
  private readonly compiled = new Map<string, Formula>();
  private switches: Settings['switches'] | undefined;
  private presentReadings: FormulaReadings = DEFAULT_FORMULA_READINGS;

  constructor(private readonly settings: Settings) {}

  /** The reading of each unconfirmed rule that the switches ask for. */
  readings(): FormulaReadings {
    if (this.switches !== this.settings.switches) {
      this.switches = this.settings.switches;
      this.presentReadings = readingsOf(this.settings.switches);
      this.compiled.clear();
    }
    return this.presentReadings;
  }

  /** @throws FormulaError for syntax and unknown functions */
  parse(text: string): Formula {
    const readings = this.readings();
    const known = this.compiled.get(text);
    if (known !== undefined) return known;
    const formula = parseFormula(text, readings);
    if (this.compiled.size >= MAX_COMPILED) {
      const oldest = this.compiled.keys().next();
      if (!oldest.done) this.compiled.delete(oldest.value);
    }
    this.compiled.set(text, formula);
    return formula;
  }

  /** As parse; also @throws FormulaError that names all fields the table does not have. */
  parseFor(table: TableDoc, text: string): Formula {
    const formula = this.parse(text);
    const unknown = formula.fieldReferences.filter((reference) => findField(table, reference) === undefined);
    if (unknown.length > 0) throw FormulaError.unknownFields(unknown);
    return formula;
  }
}

function readingsOf(settings: Settings['switches']): FormulaReadings {
  const switches = new Map<string, unknown>(Object.entries(settings));
  const readings: FormulaReadings = { ...DEFAULT_FORMULA_READINGS };
  for (const name of Object.keys(readings) as (keyof FormulaReadings)[]) {
    const value = switches.get(name);
    if (typeof value === 'boolean') readings[name] = value;
  }
  return readings;
}

/** The latest of the times at which the given fields were changed, ISO; undefined if none was since creation. */
export function lastChange(record: RecordDoc, fieldIds: readonly string[]): string | undefined {
  let latest: string | undefined;
  for (const id of fieldIds) {
    const time = record.modifiedTimes?.[id];
    if (time !== undefined && (latest === undefined || time > latest)) latest = time;
  }
  return latest;
}

/** A record as formulas see it. One instance serves a whole scan: `turnTo` moves it to the next record. */
export class FormulaView implements FormulaRecord {
  private record: RecordDoc;

  constructor(
    private readonly table: TableDoc,
    record: RecordDoc,
    private readonly read: (table: TableDoc, record: RecordDoc, field: FieldDoc) => FormulaValue,
    readonly readings: FormulaReadings,
    readonly now: number,
  ) {
    this.record = record;
  }

  turnTo(record: RecordDoc): this {
    this.record = record;
    return this;
  }

  get id(): string {
    return this.record.id;
  }

  get createdTime(): string {
    return this.record.createdTime;
  }

  get modifiedTime(): string | undefined {
    return this.record.modifiedTime;
  }

  field(nameOrId: string): FormulaValue {
    const field = findField(this.table, nameOrId);
    return field === undefined ? null : this.read(this.table, this.record, field);
  }

  fieldsModifiedTime(namesOrIds: readonly string[]): string | undefined {
    const ids = namesOrIds.map((nameOrId) => findField(this.table, nameOrId)?.id ?? nameOrId);
    return lastChange(this.record, ids);
  }
}
