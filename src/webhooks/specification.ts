import type { WebhookSpecification } from '../calendly/wire.ts';

/** What a connection must have been granted before a webhook makes sense. */
export const requiredScopes = ['webhook:manage', 'data.records:read'] as const;

const schemaScope = 'schema.bases:read';

/**
 * The whole base, with all cells and the values before, so that a change tells its record without another call. Changes
 * of fields and tables may only be asked for by those who may read the schema.
 */
export function specificationFor(grantedScopes: readonly string[]): WebhookSpecification {
  return {
    options: {
      filters: {
        dataTypes: grantedScopes.includes(schemaScope)
          ? ['tableData', 'tableFields', 'tableMetadata']
          : ['tableData'],
      },
      includes: { includeCellValuesInFieldIds: 'all', includePreviousCellValues: true },
    },
  };
}
