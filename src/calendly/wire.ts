import { z } from 'zod';
import { AppError } from '../errors.ts';

/*
 * The shapes of the upstream's answers. The upstream may add keys, field types and codes at any time without notice,
 * so unknown keys are dropped and open sets stay strings; only what we cannot work without is required.
 */

const whoAmI = z.object({
  id: z.string(),
  email: z.string().optional(),
  /** Only told of OAuth tokens. */
  scopes: z.array(z.string()).optional(),
});
export type WhoAmI = z.infer<typeof whoAmI>;

const base = z.object({ id: z.string(), name: z.string(), permissionLevel: z.string() });
export type WireBase = z.infer<typeof base>;

const field = z.object({
  id: z.string(),
  name: z.string(),
  type: z.string(),
  description: z.string().nullish(),
  options: z.record(z.string(), z.unknown()).nullish(),
});
export type WireField = z.infer<typeof field>;

const view = z.object({ id: z.string(), name: z.string(), type: z.string() });
export type WireView = z.infer<typeof view>;

const table = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string().nullish(),
  primaryFieldId: z.string(),
  fields: z.array(field),
  views: z.array(view).default([]),
});
export type WireTable = z.infer<typeof table>;

const record = z.object({
  id: z.string(),
  createdTime: z.string(),
  /** Keyed by field id; empty cells are missing. */
  fields: z.record(z.string(), z.unknown()),
});
export type WireRecord = z.infer<typeof record>;

const webhook = z.object({
  id: z.string(),
  areNotificationsEnabled: z.boolean().default(true),
  isHookEnabled: z.boolean().default(true),
  cursorForNextPayload: z.number().int(),
  notificationUrl: z.string().nullish(),
  expirationTime: z.string().nullish(),
  lastSuccessfulNotificationTime: z.string().nullish(),
  lastNotificationResult: z.record(z.string(), z.unknown()).nullish(),
  specification: z.record(z.string(), z.unknown()),
});
export type WireWebhook = z.infer<typeof webhook>;

const createdWebhook = z.object({
  id: z.string(),
  /** Shown this once; a secret. */
  macSecretBase64: z.string(),
  expirationTime: z.string().nullish(),
});
export type CreatedWebhook = z.infer<typeof createdWebhook>;

/** What a webhook listens to. Ids only, never names. */
export interface WebhookSpecification {
  options: {
    filters: {
      dataTypes: ('tableData' | 'tableFields' | 'tableMetadata')[];
      /** One table or one view; the whole base by default. */
      recordChangeScope?: string;
      changeTypes?: ('add' | 'remove' | 'update')[];
      fromSources?: string[];
      watchDataInFieldIds?: string[];
      watchSchemasOfFieldIds?: string[];
    };
    includes?: {
      includeCellValuesInFieldIds?: string[] | 'all';
      includePreviousCellValues?: boolean;
      includePreviousFieldDefinitions?: boolean;
    };
  };
}

/** Deliberately open: a payload that we understand only in part must not stop the reading of those behind it. */
const payload = z.record(z.string(), z.unknown());
export type WirePayload = z.infer<typeof payload>;

const deleted = z.object({ id: z.string(), deleted: z.boolean().default(true) });

/** Every answer by the name of its call. */
export const answers = {
  whoAmI,
  bases: z.object({ bases: z.array(base), offset: z.string().nullish() }),
  tables: z.object({ tables: z.array(table) }),
  records: z.object({ records: z.array(record), offset: z.string().nullish() }),
  written: z.object({
    records: z.array(record),
    createdRecords: z.array(z.string()).default([]),
    updatedRecords: z.array(z.string()).default([]),
    /** Told when attachments could not be fetched. It is no reason to doubt the write, whatever its shape. */
    details: z
      .looseObject({ reasons: z.array(z.string()) })
      .optional()
      .catch(undefined),
  }),
  deleted: z.object({ records: z.array(deleted) }),
  webhooks: z.object({ webhooks: z.array(webhook) }),
  createdWebhook,
  refreshedWebhook: z.object({ expirationTime: z.string().nullish() }),
  payloads: z.object({
    cursor: z.number().int().positive(),
    mightHaveMore: z.boolean().default(false),
    payloads: z.array(payload),
  }),
} as const;

export type WrittenRecords = z.infer<typeof answers.written>;
export type PayloadPage = z.infer<typeof answers.payloads>;

/**
 * Holds an answer against its shape.
 * @throws AppError UPSTREAM_UNREADABLE naming the place of the first fault, never its content.
 */
export function decodeAnswer<T>(shape: z.ZodType<T>, answer: unknown, call: string): T {
  const decoded = shape.safeParse(answer);
  if (decoded.success) return decoded.data;
  const place = decoded.error.issues[0]?.path.join('.') || 'the top';
  throw new AppError(
    'UPSTREAM_UNREADABLE',
    `The upstream's answer to "${call}" does not have the documented shape (at ${place}). Try again; if it stays, report it.`,
    { details: { call, place } },
  );
}
