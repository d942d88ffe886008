import { momentsOf } from './moments.ts';
import { moment } from '../moment.ts';
import { answer } from './answers.ts';
import { highestMemory, memoryInUse, watchMemory } from './memory.ts';
import { startOurs } from './our-app.ts';
import { serve } from './serve.ts';
import { LogWriter } from './log-writer.ts';
import type { App } from '../../src/app.ts';

let loggedAt: number[] = [];
let app: App | undefined;
const fetched = momentsOf('request:trailers', /\/webhooks\/[^/]+\/payloads/);

/** Ours with nothing replaced, which also tells when payloads were there and when they were in the log. */
serve((setup) =>
  startOurs(
    setup,
    (built) => {
      app = built;
      const { changeFeeds } = built;
      const ring = changeFeeds.ring.bind(changeFeeds);
      // It is called as soon as a batch is committed.
      changeFeeds.ring = (...given) => {
        loggedAt.push(moment());
        ring(...given);
      };
      return built;
    },
    'WITH_WEBHOOKS',
  ),
);

let writer: LogWriter | undefined;
const log = (): LogWriter => (writer ??= new LogWriter(app!));

answer({
  moments() {
    const seen = { fetched: fetched(), logged: loggedAt };
    loggedAt = [];
    return seen;
  },
  memory: memoryInUse,
  watchMemory,
  highestMemory,
  append: (given) => log().append(given as Parameters<LogWriter['append']>[0]),
  rows: () => log().rows(),
  insertPlainly: (given) => log().insertPlainly(given as Parameters<LogWriter['insertPlainly']>[0], 'on'),
  insertEarly: (given) => log().insertPlainly(given as Parameters<LogWriter['insertPlainly']>[0], 'off'),
});
