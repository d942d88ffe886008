import { systemClock } from '../../src/clock.ts';
import { createLogger } from '../../src/logger.ts';
import { CalendlyApi } from '../../src/calendly/api.ts';
import { CallMeter, type Operation } from '../../src/calendly/operation.ts';
import { Permits } from '../../src/calendly/permits.ts';
import { permitsSchema } from '../../src/calendly/permits-schema.ts';
import { RateLimiter } from '../../src/calendly/rate-limit.ts';
import type { AccessToken, TokenSource } from '../../src/calendly/tokens.ts';
import { Transport } from '../../src/calendly/transport.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

export const logger = createLogger('silent');

/** A database with the shared budget in it. */
export async function createBudgetDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  const [known] = await database.query("SELECT to_regclass('rate_budgets') AS budgets");
  if (known?.budgets === null) await database.query(permitsSchema);
  return database;
}

export interface ClientOptions {
  calls?: number;
  windowMs?: number;
  penaltyMs?: number;
  timeouts?: { readMs: number; writeMs: number };
}

/** What one process holds of the client: a limiter and a transport on top of the shared budget. */
export class TestClient {
  readonly limiter: RateLimiter;
  readonly transport: Transport;

  constructor(database: TestDatabase, apiUrl: string, options: ClientOptions = {}) {
    const { calls = 5, windowMs = 1_025, penaltyMs = 30_000, timeouts } = options;
    const permits = new Permits((text, params) => database.query(text, params), { calls, windowMs });
    this.limiter = new RateLimiter({ permits, penaltyMs, clock: systemClock, logger });
    const given = timeouts === undefined ? {} : { timeouts };
    this.transport = new Transport({ apiUrl, rateLimit: this.limiter, logger, clock: systemClock, ...given });
  }

  api(tokens: TokenSource | string, operation: Partial<Operation> = {}): CalendlyApi {
    const source = typeof tokens === 'string' ? new TestTokens(tokens) : tokens;
    return new CalendlyApi(this.transport, source, createOperation(operation));
  }

  async close(): Promise<void> {
    this.limiter.close();
    await this.transport.close();
  }
}

export function createOperation(changes: Partial<Operation> = {}): Operation {
  const deadline = systemClock.now() + 20_000;
  return { callerId: 'test', priority: 'person', deadline, meter: new CallMeter(), ...changes };
}

/** A first token and, when the upstream refuses it, the ones that follow. */
export class TestTokens implements TokenSource {
  readonly connectionId = 1;
  readonly refused: AccessToken[] = [];
  readonly #values: string[];
  #generation = 0;

  constructor(...values: string[]) {
    this.#values = values;
  }

  current(): Promise<AccessToken> {
    return Promise.resolve({ value: this.#values[this.#generation] ?? '', generation: this.#generation });
  }

  replacementFor(refused: AccessToken): Promise<AccessToken | null> {
    this.refused.push(refused);
    if (refused.generation + 1 >= this.#values.length) return Promise.resolve(null);
    this.#generation = refused.generation + 1;
    return this.current();
  }
}
