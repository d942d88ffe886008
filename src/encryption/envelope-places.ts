/** A column that holds envelopes. */
export interface EnvelopePlace {
  table: string;
  column: string;
  /** The primary key, whose text is the `row` of the associated data. */
  key: { column: string; type: 'integer' | 'uuid' };
}

/**
 * Every column of the database that holds envelopes. Each of the tables has a `connection_id`, by which people know
 * whose secret it is. A new column with sealed secrets has to stand here, or it would be left behind when keys rotate.
 */
export const envelopePlaces: readonly EnvelopePlace[] = [
  ...['client_secret', 'access_token', 'refresh_token'].map((column): EnvelopePlace => ({
    table: 'connection_secrets',
    column,
    key: { column: 'connection_id', type: 'integer' },
  })),
  { table: 'webhooks', column: 'mac_secret_envelope', key: { column: 'id', type: 'uuid' } },
  ...['secret', 'previous_secret'].map((column): EnvelopePlace => ({
    table: 'trigger_secrets',
    column,
    key: { column: 'trigger_id', type: 'uuid' },
  })),
  { table: 'authorization_flows', column: 'verifier_envelope', key: { column: 'id', type: 'uuid' } },
];

/** SQL for the id of the key under which an envelope stands; null for what is no envelope. */
export function keyIdOf(column: string): string {
  return `substring(${column} from '^v1\\.([A-Za-z0-9_-]{1,32})\\.')`;
}
