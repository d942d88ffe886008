import { editSchema } from '../bases/edits.ts';
import type { SandboxContext } from '../context.ts';
import type { Reply, SandboxRequest } from '../http/message.ts';
import type { Router } from '../http/router.ts';
import { editRecords } from '../records/edits.ts';
import type { Webhooks } from '../webhooks/webhooks.ts';
import { showWebhook } from '../webhooks/webhook.ts';
import { accessControlRoutes } from './access-routes.ts';
import { controlError } from './control-error.ts';
import { readInput } from './control-input.ts';

/** What no upstream has: looking behind the scenes and changing how the sandbox behaves. JSON, for loopback only. */
export function controlRoutes(router: Router, context: SandboxContext, webhooks: Webhooks): void {
  const add = (method: string, name: string, answer: (request: SandboxRequest) => unknown): void => {
    const handler = (request: SandboxRequest): Reply => ({ status: 200, json: answer(request) });
    router.add(method, `/_control/${name}`, { endpoint: 'control', handler });
  };
  const { calls, clock, faults, ledger, settings } = context;

  add('GET', 'calls', () => calls.snapshot());
  add('DELETE', 'calls', () => {
    calls.reset();
    return calls.snapshot();
  });
  add('GET', 'changes', ({ query }) => ({
    changes: after(ledger.changes(), query),
    dropped: ledger.dropped.changes,
  }));
  add('GET', 'writes', ({ query }) => ({
    writes: after(ledger.writes(), query),
    dropped: ledger.dropped.writes,
  }));

  add('GET', 'faults', () => ({ faults: faults.list() }));
  add('POST', 'faults', (request) => faults.add(request.json()));
  add('DELETE', 'faults', ({ query }) => {
    const id = query.get('id');
    if (id === null) faults.clear();
    else if (!faults.delete(id)) throw controlError('There is no such fault');
    return { faults: faults.list() };
  });

  add('GET', 'limits', () => settings.limits);
  add('POST', 'limits', (request) => {
    settings.changeLimits(readInput(request));
    return settings.limits;
  });
  add('GET', 'switches', () => settings.switches);
  add('POST', 'switches', (request) => {
    settings.changeSwitches(readInput(request));
    return settings.switches;
  });

  add('GET', 'clock', () => ({ now: clock.iso() }));
  add('POST', 'clock', (request) => {
    clock.advance(readAdvance(request));
    webhooks.pings.review();
    return { now: clock.iso() };
  });
  add('GET', 'pings', () => webhooks.pings.disturbance.present());
  add('POST', 'pings', (request) =>
    webhooks.pings.disturbance.change(readInput(request, ['drop', 'repeat', 'delayMs'])),
  );
  add('GET', 'webhooks', () => ({
    webhooks: webhooks.all().map((webhook) => ({
      ...showWebhook(webhook, clock.now()),
      baseId: webhook.baseId,
      clientId: webhook.clientId,
    })),
  }));

  add('POST', 'edits', (request) => editRecords(context, request.json()));
  add('POST', 'schema', (request) => editSchema(context, request.json()));
  add('POST', 'reset', () => {
    context.reset();
    return { now: clock.iso() };
  });
  accessControlRoutes(router, context);
}

/** The furthest that one request moves the clock: ten years. */
const MAX_ADVANCE_MS = 10 * 365 * 86_400_000;

function readAdvance(request: SandboxRequest): number {
  const { advanceMs } = readInput(request, ['advanceMs']);
  if (typeof advanceMs === 'number' && advanceMs >= 0 && advanceMs <= MAX_ADVANCE_MS) return advanceMs;
  throw controlError(`advanceMs must be a number from 0 to ${MAX_ADVANCE_MS}`);
}

/** The entries behind sequence `?after=`, at most `?limit=` of them. */
function after<Entry extends { sequence: number }>(entries: Entry[], query: URLSearchParams): Entry[] {
  const sequence = Number(query.get('after') ?? 0);
  const limit = Number(query.get('limit') ?? entries.length);
  if (!Number.isFinite(sequence) || !Number.isFinite(limit) || limit < 0) {
    throw controlError('after and limit must be numbers');
  }
  return entries.filter((entry) => entry.sequence > sequence).slice(0, limit);
}
