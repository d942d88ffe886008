import type { SandboxRequest } from '../http/message.ts';
import { controlError } from './control-error.ts';

/** The body of a control request as an object; no body is `{}`. Throws ApiError 400 that names the known keys. */
export function readInput<Key extends string>(
  request: SandboxRequest,
  known?: readonly Key[],
): Partial<Record<Key, unknown>> {
  const body = request.json() ?? {};
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw controlError('The body must be a JSON object');
  }
  const stranger = known && Object.keys(body).find((key) => !(known as readonly string[]).includes(key));
  if (stranger !== undefined)
    throw controlError(`Unknown key "${stranger}". Known: ${known?.join(', ') ?? ''}`);
  return body;
}

export function textOf(name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw controlError(`${name} must be a text that is not empty`);
}

export function textsOf(name: string, value: unknown): string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw controlError(`${name} must be a list of texts`);
}
