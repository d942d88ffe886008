import { setMaxListeners } from 'node:events';
import { Agent } from 'undici';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { outcomeOfAnswer, outcomeOfSilence, type Attempt, type AttemptOutcome } from './attempt.ts';
import { abortReason, shuttingDown } from './ended-early.ts';
import { isOutage, judge, type Failure, type Verdict } from './judge.ts';
import { judgeSilence, withDetails, withLostAnswer } from './silence.ts';
import type { Operation } from './operation.ts';
import type { Permission } from './permission.ts';
import type { RateLimiter } from './rate-limit.ts';
import { AttemptFailed, sendOnce, type RawAnswer } from './request.ts';
import { retryDelayMs, type FailureKind } from './retry.ts';
import type { AccessToken, TokenSource } from './tokens.ts';
import type { UpstreamCall } from './upstream-call.ts';
import { decodeAnswer } from './wire.ts';
import { withinOperation } from './within-operation.ts';

/** Open connections to the upstream in one process. */
const maxConnections = 256;
const connectTimeoutMs = 5_000;
/** An attempt that got no complete answer by then is given up; a write is given longer, since nobody likes not to know. */
const defaultTimeouts = { readMs: 12_000, writeMs: 60_000 };
/** After a longer wait for the rate limit the token is asked for again; it may have been renewed. */
const tokenAgesAfterMs = 1_000;
/** Calls in flight have this long to end when we close, beyond what whoever made them has waited. */
const closeGraceMs = 1_000;
const userAgent = 'omnera-calendly-connections';

export interface TransportOptions {
  /** The upstream's address, without `/v0`. */
  apiUrl: string;
  rateLimit: RateLimiter;
  logger: Logger;
  clock: Clock;
  /** Milliseconds for one attempt; for tests of a silent upstream. */
  timeouts?: { readMs: number; writeMs: number };
  /** Told of every attempt when it is over. */
  onAttempt?: (attempt: Attempt) => void;
}

/**
 * Brings calls to the upstream and back: a permission for every attempt, a newer token after a 401, a rest of the whole
 * base after a 429, and another try wherever that can't do anything twice. One for the whole process.
 */
export class Transport {
  readonly #options: TransportOptions;
  readonly #origin: string;
  readonly #prefix: string;
  readonly #agent: Agent;
  readonly #closing = new AbortController();
  readonly #exchanges = new Set<Promise<RawAnswer>>();
  #closed: Promise<void> | null = null;

  constructor(options: TransportOptions) {
    // Everything under way listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, this.#closing.signal);
    this.#options = options;
    const url = new URL(options.apiUrl);
    this.#origin = url.origin;
    this.#prefix = url.pathname.replace(/\/+$/, '');
    this.#agent = new Agent({ connections: maxConnections, connect: { timeout: connectTimeoutMs } });
  }

  /**
   * @throws AppError, or what the token source throws or the operation was aborted for, which no AppError has to be. What
   *   is none tells that a write had no effect.
   */
  async send<Answer>(call: UpstreamCall<Answer>, tokens: TokenSource, operation: Operation): Promise<Answer> {
    const key = call.baseId === null ? `connection:${tokens.connectionId}` : `base:${call.baseId}`;
    let token = await this.#inTime(tokens.current(), operation);
    let tokenWasReplaced = false;
    let answerWasLost = false;
    try {
      for (let attempts = 1; ; attempts += 1) {
        operation.meter.countCall();
        const tried = await this.#attempt(call, key, tokens, token, operation);
        const { verdict } = tried;
        token = tried.token;
        if (verdict.kind === 'answer') return decode(call, verdict.value);
        answerWasLost ||= verdict.kind === 'lost' || verdict.kind === 'unavailable';
        if (verdict.kind === 'unauthorized') {
          const newer = tokenWasReplaced ? null : await this.#inTime(tokens.replacementFor(token), operation);
          if (newer === null) throw verdict.error;
          token = newer;
          tokenWasReplaced = true;
        } else {
          await this.#waitToRepeat(call, key, verdict, verdict.kind, attempts, operation);
        }
        operation.meter.retries += 1;
      }
    } catch (error) {
      throw answerWasLost ? withLostAnswer(error, call) : error;
    }
  }

  #inTime<T>(work: Promise<T>, operation: Operation): Promise<T> {
    return withinOperation(work, operation, this.#options.clock);
  }

  /** Lets calls in flight end for ten seconds, then cuts them off. Waiting ones are turned away. May be repeated. */
  close(): Promise<void> {
    this.#closed ??= this.#closeOnce();
    return this.#closed;
  }

  async #closeOnce(): Promise<void> {
    this.#closing.abort();
    const ended = new Promise((resolve) => {
      const timer = setTimeout(resolve, closeGraceMs);
      void Promise.allSettled(this.#exchanges).then(() => {
        clearTimeout(timer);
        resolve(undefined);
      });
    });
    await ended;
    await this.#agent.destroy();
  }

  /** One attempt that counts: a permission which lapsed before it could be used is replaced by another. */
  async #attempt(
    call: UpstreamCall<unknown>,
    key: string,
    tokens: TokenSource,
    token: AccessToken,
    operation: Operation,
  ): Promise<{ verdict: Verdict; token: AccessToken }> {
    const { rateLimit, clock, onAttempt } = this.#options;
    for (;;) {
      if (this.#closing.signal.aborted) throw shuttingDown();
      const refusal = operation.refusal?.();
      if (refusal) throw refusal;
      const permission = await rateLimit.acquire(key, operation);
      operation.meter.waitedMs += permission.waitedMs;
      const { waitedMs } = permission;
      let startedAt = performance.now();
      const tell = (outcome: AttemptOutcome): void => {
        const durationMs = performance.now() - startedAt;
        const { connectionId } = tokens;
        const { priority } = operation;
        onAttempt?.({ connectionId, call: call.name, outcome, priority, waitedMs, durationMs });
      };
      try {
        if (permission.waitedMs > tokenAgesAfterMs) token = await this.#inTime(tokens.current(), operation);
        startedAt = performance.now();
        const raw = await this.#exchange(call, key, token, permission, operation);
        tell(outcomeOfAnswer(raw));
        return { verdict: judge(raw, call, clock.now()), token };
      } catch (error) {
        if (!(error instanceof AttemptFailed)) throw error;
        const outcome = outcomeOfSilence(error, permission.wasUsed);
        if (outcome) tell(outcome);
        if (error.reason === 'aborted') throw abortReason(operation.signal);
        if (error.reason !== 'stale')
          return { verdict: judgeSilence(error, call, operation.deadline <= clock.now()), token };
      } finally {
        permission.giveBack();
      }
    }
  }

  async #exchange(
    call: UpstreamCall<unknown>,
    key: string,
    token: AccessToken,
    permission: Permission,
    operation: Operation,
  ): Promise<RawAnswer> {
    const { rateLimit, clock, logger, timeouts = defaultTimeouts } = this.#options;
    const ownMs = call.effect === 'read' ? timeouts.readMs : timeouts.writeMs;
    const leftMs = Math.max(1, operation.deadline - clock.now());
    const startedAt = performance.now();
    try {
      const exchange = sendOnce(this.#agent, {
        origin: this.#origin,
        path: this.#prefix + call.path,
        method: call.method,
        headers: headersOf(token, call),
        body: call.body === undefined ? null : JSON.stringify(call.body),
        timeoutMs: Math.min(ownMs, leftMs),
        signal: operation.signal,
        abortableAfterSending: call.effect === 'read',
        maySend: () => !operation.refusal?.() && permission.use(),
      });
      this.#exchanges.add(exchange);
      const raw = await exchange.finally(() => this.#exchanges.delete(exchange));
      logger.debug(
        { call: call.name, budget: key, status: raw.status, ms: Math.round(performance.now() - startedAt) },
        'Upstream call',
      );
      if (isOutage(raw.status)) rateLimit.failed(key);
      else rateLimit.answered(key);
      // An error that quotes the request must not carry the token on.
      return raw.status < 300 ? raw : { ...raw, body: raw.body.replaceAll(token.value, '***') };
    } catch (error) {
      if (error instanceof AttemptFailed) {
        logger.debug(
          { call: call.name, budget: key, reason: error.reason, failure: error.message },
          'Upstream call without answer',
        );
        // A caller in a hurry says nothing about the upstream.
        const wasHurried = error.timedOut && leftMs < ownMs;
        if ((error.reason === 'unsent' || error.reason === 'lost') && !wasHurried) rateLimit.failed(key);
      }
      throw error;
    }
  }

  /** Returns when the call may be tried again; throws its error when it must not. */
  async #waitToRepeat(
    call: UpstreamCall<unknown>,
    key: string,
    failure: Failure,
    kind: FailureKind,
    attempts: number,
    operation: Operation,
  ): Promise<void> {
    const { rateLimit, clock, logger } = this.#options;
    const leftMs = operation.deadline - clock.now();
    if (kind === 'limited') {
      const pauseMs = await rateLimit.pause(key, failure.retryAfterMs);
      logger.warn({ budget: key, pauseMs }, 'The upstream asked for a rest');
      if (pauseMs >= leftMs) throw withDetails(failure.error, { retryAfterMs: pauseMs });
    }
    const random = Math.random();
    const delayMs = retryDelayMs({
      kind,
      effect: call.effect,
      attempts,
      retryAfterMs: failure.retryAfterMs,
      leftMs,
      random,
    });
    if (delayMs === null) throw failure.error;
    await this.#sleep(delayMs, operation.signal);
  }

  /** Until then, or until the caller leaves or we close, which the next attempt notices. */
  #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (ms <= 0 || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        this.#closing.signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal?.addEventListener('abort', wake);
      this.#closing.signal.addEventListener('abort', wake);
    });
  }
}

function headersOf(token: AccessToken, call: UpstreamCall<unknown>): Record<string, string> {
  return {
    authorization: `Bearer ${token.value}`,
    accept: 'application/json',
    'user-agent': userAgent,
    ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
  };
}

function decode<Answer>(call: UpstreamCall<Answer>, value: unknown): Answer {
  // A call without a shape is declared to answer nothing.
  if (call.shape === null) return undefined as Answer;
  try {
    return decodeAnswer(call.shape, value, call.name);
  } catch (error) {
    throw call.effect !== 'read' && error instanceof AppError
      ? withDetails(error, { outcome: 'unknown' })
      : error;
  }
}
