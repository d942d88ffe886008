import { setMaxListeners } from 'node:events';
import type { DataSource } from 'typeorm';
import type { RecordAudit } from '../../audit/audit-event.ts';
import type { BaseSchema } from '../../bases/base-schema.ts';
import type { BaseSchemas } from '../../bases/base-schemas.ts';
import { OperationSchemas } from '../../bases/operation-schemas.ts';
import { theServer } from '../../audit/audit-event.ts';
import { CallMeter, type Operation } from '../../calendly/operation.ts';
import type { ChangeFeeds } from '../../changes/change-feeds.ts';
import type { ChangeLog } from '../../changes/change-log.ts';
import type { Feed } from '../../changes/feed.ts';
import type { Clock } from '../../clock.ts';
import type { EndpointRules } from '../../config.ts';
import type { SecretCipher } from '../../encryption/secret-cipher.ts';
import type { AppError } from '../../errors.ts';
import type { RecordServices } from '../../records/record-work.ts';
import type { Logger } from '../../logger.ts';
import { ActionRuns } from './action-runs.ts';
import { DeliveryAttempts } from './delivery-attempts.ts';
import { DeliveryList, type DeliveryCounts } from './delivery-list.ts';
import { EndpointClient, type EndpointAttempt } from './endpoint-client.ts';
import { testBody } from './event.ts';
import { FailingEndpoints, type FailingEndpointsDeps } from './failing-endpoints.ts';
import { Matcher } from './matcher.ts';
import { Sender } from './sender.ts';
import { signedHeaders } from './signature.ts';
import { StoredTriggers, type TriggerPlace, type TriggerSettings } from './stored-triggers.ts';
import { TriggerHealth } from './trigger-health.ts';
import { TriggerWrites } from './trigger-writes.ts';
import { TriggerSecrets } from './trigger-secrets.ts';
import { awaited, changeFilterOf, type Trigger } from './trigger.ts';
import { TriggerChecks } from './trigger-checks.ts';
import { misfitIn, type Misfit } from './trigger-misfit.ts';
import { TriggerResumption } from './trigger-resumption.ts';
import { TriggerUpkeep } from './trigger-upkeep.ts';

/** How long a check of a trigger, or setting it going by itself, may take, in milliseconds. */
const ownDeadlineMs = 60_000;

export interface TriggersDeps extends Pick<FailingEndpointsDeps, 'alertAfter' | 'onFailing'> {
  database: DataSource;
  cipher: SecretCipher;
  log: ChangeLog;
  feeds: ChangeFeeds;
  /** The log of a base, with a living webhook. */
  ensureFeed: (connectionId: number, baseId: string, operation: Operation) => Promise<Feed>;
  refusal: (connectionId: number, baseId: string) => Promise<AppError | null>;
  rules: EndpointRules;
  /** What actions work with. */
  services: RecordServices;
  schemas: BaseSchemas;
  /** Whether this process matches and delivers, or only lets triggers be managed. */
  delivers: boolean;
  audit: RecordAudit;
  clock: Clock;
  logger: Logger;
  onQueued: (count: number) => void;
  onAttempt: (outcome: 'delivered' | 'failed' | 'parked', durationMs: number) => void;
}

/** What reacts to changes: triggers, and the deliveries that they make of the log. */
export class Triggers {
  readonly stored: StoredTriggers;
  readonly deliveries: DeliveryList;
  readonly endpoints: EndpointClient;
  readonly #deps: TriggersDeps;
  readonly #secrets: TriggerSecrets;
  readonly #health: TriggerHealth;
  readonly #resumption: TriggerResumption;
  readonly #matcher: Matcher;
  readonly #sender: Sender;
  readonly #upkeep: TriggerUpkeep;
  readonly #closing = new AbortController();

  constructor(deps: TriggersDeps) {
    // Every test delivery listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, this.#closing.signal);
    this.#deps = deps;
    this.#secrets = new TriggerSecrets(deps.cipher);
    this.#health = new TriggerHealth(deps.database);
    this.stored = new StoredTriggers({ ...deps, secrets: this.#secrets, health: this.#health });
    this.deliveries = new DeliveryList(deps.database);
    this.endpoints = new EndpointClient(deps.rules);
    this.#resumption = new TriggerResumption({ ...deps, health: this.#health });
    const onMoved = this.#audit.bind(this);
    const writes = new TriggerWrites(deps);
    this.#sender = new Sender({
      ...deps,
      attempts: new DeliveryAttempts({
        client: this.endpoints,
        actions: new ActionRuns({ ...deps, changeLog: deps.log, writes }),
        secrets: this.#secrets,
        clock: deps.clock,
      }),
      health: this.#health,
      endpoints: new FailingEndpoints({ ...deps, stored: this.stored, onMoved }),
    });
    this.#matcher = new Matcher({
      ...deps,
      writes,
      onQueued: (triggerId, count) => {
        deps.onQueued(count);
        this.#sender.look(triggerId);
      },
    });
    this.#upkeep = new TriggerUpkeep({
      ...deps,
      checks: new TriggerChecks({
        ...deps,
        stored: this.stored,
        misfit: (trigger) => this.#misfit(trigger),
        resume: (id) => this.#resumeByItself(id),
        onMoved,
      }),
      matcher: this.#matcher,
      sender: this.#sender,
      deliveries: this.deliveries,
      secrets: this.#secrets,
      onMoved,
      now: () => deps.clock.now(),
    });
  }

  start(): void {
    if (!this.#deps.delivers) return;
    this.#sender.start();
    this.#upkeep.start();
  }

  /**
   * Begins with what happens from now on.
   * @throws AppError TOO_MANY, and what making the base's webhook throws
   */
  async create(
    wanted: TriggerPlace & TriggerSettings & { createdBy: string },
    operation: Operation,
  ): Promise<{ trigger: Trigger; secret: string | null }> {
    const feed = await this.#deps.ensureFeed(wanted.connectionId, wanted.baseId, operation);
    const position = await this.#deps.log.head(feed.id);
    const created = await this.stored.create(wanted, { feedId: feed.id, position });
    this.#lookSoon();
    return created;
  }

  /**
   * Goes on where it stood: what the log has kept is delivered first, and what waits is tried now. For one that runs it is
   * the latter alone: how long its endpoint has been failing is not forgotten by it.
   * @throws AppError what making the base's webhook throws
   */
  async resume(trigger: Trigger, operation: Operation): Promise<Trigger> {
    await this.#resumption.resume(trigger, operation, null);
    this.#lookSoon();
    return this.stored.get(trigger.id);
  }

  async healthOf(id: string): Promise<DeliveryCounts & { failuresInRow: number; failingSince: Date | null }> {
    return { ...(await this.deliveries.counts(id)), ...(await this.#health.of(id)) };
  }

  /** Has parked deliveries, or certain finished ones, made again. @returns how many */
  async replay(id: string, eventIds: readonly string[] | null): Promise<number> {
    const replayed = await this.deliveries.replay(id, eventIds, new Date(this.#deps.clock.now()));
    this.#lookSoon();
    return replayed;
  }

  /** Sends a `test` event now, whatever the state of the trigger. It is no delivery: nothing is stored, nothing retried. */
  async test(trigger: Trigger): Promise<EndpointAttempt> {
    const at = new Date(this.#deps.clock.now());
    const body = testBody(trigger, at);
    const secrets = await this.#secrets.valid(this.#deps.database, trigger.id, at);
    const headers = signedHeaders({ id: `evt_test_${at.getTime()}`, at, body }, secrets);
    return this.endpoints.post(trigger.endpointUrl ?? '', { headers, body }, this.#closing.signal);
  }

  /** Lets deliveries under way end; what is not stored by then is made again by whoever comes next. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#sender.close(), this.#upkeep.close(), this.#matcher.close()]);
    await this.endpoints.close();
  }

  #lookSoon(): void {
    if (this.#deps.delivers) this.#upkeep.lookSoon();
  }

  /** @returns whether it runs by it: whoever pauses it meanwhile is heeded */
  async #resumeByItself(id: string): Promise<boolean> {
    const runs = await this.#resumption.resume(await this.stored.get(id), this.#operation(), awaited);
    if (runs) this.#lookSoon();
    return runs;
  }

  /** @returns null as well where the grant does not show tables */
  async #misfit(trigger: Trigger): Promise<Misfit | null> {
    const { services, schemas, clock } = this.#deps;
    const { grantedScopes } = await services.connections.get(trigger.connectionId);
    if (!grantedScopes.includes('schema.bases:read')) return null;
    const filter = changeFilterOf(trigger);
    const fits = (schema: BaseSchema): boolean => misfitIn(schema, trigger, filter) === null;
    const known = new OperationSchemas({ shared: schemas, operation: this.#operation(), clock });
    return misfitIn(await known.fitting(trigger.connectionId, trigger.baseId, fits, 0), trigger, filter);
  }

  #operation(): Operation {
    return {
      callerId: 'triggers',
      priority: 'background',
      deadline: this.#deps.clock.now() + ownDeadlineMs,
      signal: this.#closing.signal,
      meter: new CallMeter(),
    };
  }

  #audit(id: string, connectionId: number, action: 'pauseTrigger' | 'resumeTrigger', outcome: string): void {
    this.#deps.logger.info({ trigger: id, connectionId, action, outcome }, 'a trigger moved by itself');
    void this.#deps.audit({ actor: theServer, action, connectionId, target: `trigger:${id}`, outcome });
  }
}
