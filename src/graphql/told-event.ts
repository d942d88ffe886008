import type { ExecutionArgs, ExecutionResult, GraphQLError } from 'graphql';
import type { GraphQLContext } from './context.ts';
import { shownError } from './error-masking.ts';
import type { SourceEvent } from './shared-source.ts';

/** One event as subscribers are told it: executed once, and written down once for all of them. */
export class ToldEvent {
  readonly place: string;
  readonly id: string | null;
  readonly onlyPlace: boolean;
  readonly #result: ExecutionResult;
  #text: string | null = null;
  #shown: GraphQLError[] | null = null;

  /** @param event null for a last word that has no place, such as an error */
  constructor(result: ExecutionResult, event: SourceEvent | null) {
    this.#result = result;
    this.place = event?.place ?? '';
    this.id = event?.id ?? null;
    this.onlyPlace = event?.onlyPlace ?? false;
  }

  /** The result as JSON. Errors name the request of the subscriber who reads them; they are masked and logged once. */
  textFor(subscriberArgs: ExecutionArgs): string {
    if (!this.#result.errors) return this.#shared;
    const { errors, ...rest } = this.#result;
    const subscriber = subscriberArgs.contextValue as GraphQLContext;
    this.#shown ??= errors.map((error) => shownError(error, subscriber));
    const named = this.#shown.map((error) => ({
      ...error.toJSON(),
      extensions: { ...error.extensions, requestId: subscriber.requestId },
    }));
    return JSON.stringify({ ...rest, errors: named });
  }

  /** Length of the result, in characters. */
  get length(): number {
    return this.#shared.length;
  }

  get #shared(): string {
    this.#text ??= JSON.stringify(this.#result);
    return this.#text;
  }
}
