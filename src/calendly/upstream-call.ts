import type { z } from 'zod';
import type { ErrorCode } from '../errors.ts';

/**
 * What a call does to the upstream's data, and so whether it may be sent again when its answer was lost:
 * `read` nothing · `repeatable` twice is the same as once (changes by id, deletes) · `once` a second time would do it
 * again (creates, upserts), and there is no idempotency key to prevent it.
 */
export type Effect = 'read' | 'repeatable' | 'once';

/** One call as an endpoint describes it, before tokens, limits and retries. */
export interface UpstreamCall<Answer> {
  /** For people, in messages and logs: "list records". */
  name: string;
  method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** Below the API's address, starting with `/v0/`, query included. */
  path: string;
  body?: unknown;
  /** Whose allowance it uses; null for calls without a base, which use the connection's own. */
  baseId: string | null;
  effect: Effect;
  /** The code when the upstream says that the thing does not exist. */
  missing: ErrorCode;
  /** Null when the answer is empty or does not matter. */
  shape: z.ZodType<Answer> | null;
}
