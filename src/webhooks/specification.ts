import type { WebhookSpecification } from '../calendly/wire.ts';

/** What a connection must have been granted before a webhook makes sense. */
export const requiredScopes = ['webhook:manage', 'data.records:read'] as const;

export type DataType = WebhookSpecification['options']['filters']['dataTypes'][number];

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

/** The data types of the specification alone. */
export function dataTypesFor(grantedScopes: readonly string[]): DataType[] {
  return specificationFor(grantedScopes).options.filters.dataTypes;
}

/** What a connection needs to pull the payloads of a webhook that was asked to tell of these. */
export function scopesToRead(dataTypes: readonly DataType[]): string[] {
  return dataTypes.some((type) => type !== 'tableData')
    ? [...requiredScopes, schemaScope]
    : [...requiredScopes];
}
