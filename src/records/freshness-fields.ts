import { builder } from '../graphql/builder.ts';
import { liveReasons, type LiveReason } from './copies/live-reason.ts';
import { maxAgeDays } from './copies/max-age.ts';
import type { RecordSource } from './record-node.ts';
import { RecordRef } from './schema.ts';

/** Of fields that read records. */
export const maxAgeArgument = {
  type: 'Duration',
  description: `How old the answer may be, such as \`PT1M\`; at most P${maxAgeDays}D. It then comes from the copy that a sync keeps of the table, without a call, if that is young enough, has every write through this server, and gives exactly what the service would; else from the service, with the reason in \`liveBecause\`. Holds for the records behind links too. Absent: as it is now.`,
} as const;

const sources = {
  LIVE: 'Read from the service for this answer.',
  COPY: 'From the copy of the table that a sync keeps.',
  LOG: 'As a change left it, from our log.',
} satisfies Record<RecordSource, string>;

export const RecordSourceEnum = builder.enumType('RecordSource', {
  description: 'Where records come from.',
  values: describedValues(sources),
});

export const LiveReasonEnum = builder.enumType('LiveReason', {
  description: 'Why records came from the service although `maxAge` allowed a copy.',
  values: describedValues(liveReasons),
});

export const freshnessDescriptions = {
  source: 'Where it comes from.',
  asOf: 'A moment not after the one that it shows. Null where nothing had to be asked, and for records of our log.',
  liveBecause:
    'Why it came from the service although `maxAge` was given; null from a copy, without `maxAge`, and where the operation had read it live anyway.',
};

builder.objectFields(RecordRef, (t) => ({
  source: t.field({
    type: RecordSourceEnum,
    description: freshnessDescriptions.source,
    resolve: ({ origin }) => origin.source,
  }),
  asOf: t.field({
    type: 'DateTime',
    nullable: true,
    description: freshnessDescriptions.asOf,
    resolve: ({ origin }) => timeOf(origin.readAt),
  }),
  liveBecause: t.field({
    type: LiveReasonEnum,
    nullable: true,
    description: freshnessDescriptions.liveBecause,
    resolve: ({ origin }): LiveReason | null => origin.freshness.liveBecause,
  }),
}));

/** @param at milliseconds since the epoch */
export function timeOf(at: number | null): Date | null {
  return at === null ? null : new Date(at);
}

function describedValues<Name extends string>(
  descriptions: Record<Name, string>,
): Record<Name, { description: string }> {
  return Object.fromEntries(
    Object.entries<string>(descriptions).map(([name, description]) => [name, { description }]),
  ) as Record<Name, { description: string }>;
}
