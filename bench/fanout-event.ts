import { isDeepStrictEqual } from 'node:util';
import { baseId } from './contacts.ts';

/** What all subscribers of the scenario ask for, in ours and in the peer that speaks GraphQL. */
export const document = `subscription Changes($connection: Int!) {
  recordChanges(connection: $connection, baseId: "${baseId}") {
    __typename
    ... on RecordChange {
      cursor kind recordId occurredAt
      fields { name previous current }
      record { id name: text(field: "Name") email: text(field: "Email") }
    }
    ... on FeedPosition { cursor }
  }
}`;

/** One change, as every subscriber is told of it. */
export interface ToldChange {
  __typename: 'RecordChange';
  cursor: string;
  kind: string;
  recordId: string;
  occurredAt: string;
  fields: { name: string | null; previous: unknown; current: unknown }[];
  record: { id: string; name: string | null; email: string | null };
}

/** @throws Error when the message bears no change */
export function changeIn(message: Buffer): ToldChange {
  const { id, payload } = JSON.parse(message.toString('utf8')) as {
    id: string;
    payload: { data?: { recordChanges: ToldChange }; errors?: unknown };
  };
  const change = payload.data?.recordChanges;
  if (id !== '1' || payload.errors || change?.__typename !== 'RecordChange')
    throw new Error(`A subscriber was told ${message.toString('utf8', 0, 1_000)}`);
  return change;
}

/** Whether two messages tell the same change, whatever else a server adds. */
export function tellSame(one: Buffer, other: Buffer): boolean {
  return one.equals(other) || isDeepStrictEqual(changeIn(one), changeIn(other));
}
