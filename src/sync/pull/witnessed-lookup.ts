import { maxRecordsPerPage } from '../../calendly/api.ts';
import type { WireRecord } from '../../calendly/wire.ts';
import type { Place, UpstreamTable } from './upstream-table.ts';

/*
 * That an answer lacks a record says little by itself: a proxy may answer anything with nothing. So records that may be
 * gone are asked for beside some that should be there, and an answer without any of those bears nothing out.
 */

/** Records that should be there and are asked for beside those that may be gone. */
export const witnessCount = 3;
/** Ids of others that one lookup takes. */
export const maxAskedFor = maxRecordsPerPage - witnessCount;

export interface WitnessedAnswer {
  /** What was asked for and is there. */
  found: Map<string, WireRecord>;
  /** Whether what it lacks is gone. */
  isBorneOut: boolean;
}

/** @param ids at most `maxAskedFor` */
export async function lookUpWitnessed(
  table: UpstreamTable,
  place: Place,
  ids: readonly string[],
  witnesses: readonly string[],
  signal: AbortSignal,
): Promise<WitnessedAnswer> {
  const found = await table.records(place, [...ids, ...witnesses], signal);
  const isBorneOut = witnesses.some((id) => found.has(id));
  for (const id of witnesses) found.delete(id);
  return { found, isBorneOut };
}
