import { request, type IncomingMessage } from 'node:http';
import type { TestApp } from '../support/app.ts';
import type { Event } from './subscriber.ts';
import { until } from './subscriber.ts';

/** One frame of server-sent events. */
export interface Frame {
  event?: string;
  id?: string;
  data?: string;
}

/** Somebody who listens to server-sent events and keeps every frame, or stops reading. */
export class EventStream {
  readonly frames: Frame[] = [];
  /** How it ended. */
  end: 'complete' | 'cut' | null = null;
  response: IncomingMessage | undefined;
  #text = '';

  constructor(app: TestApp, query: string, variables: object, headers: Record<string, string> = {}) {
    const asking = request(`${app.url}/graphql`, {
      method: 'POST',
      agent: false,
      headers: {
        authorization: `Bearer ${app.adminKey}`,
        'content-type': 'application/json',
        accept: 'text/event-stream',
        ...headers,
      },
    });
    asking.on('error', () => (this.end ??= 'cut'));
    asking.on('response', (response) => this.#read(response));
    asking.end(JSON.stringify({ query, variables }));
  }

  get results(): { data?: { recordChanges: Event }; errors?: { extensions: { code: string } }[] }[] {
    return this.frames.filter(({ data }) => data).map(({ data = '' }) => JSON.parse(data) as never);
  }

  get events(): Event[] {
    return this.results.flatMap(({ data }) => (data ? [data.recordChanges] : []));
  }

  get changes(): Event[] {
    return this.events.filter(({ __typename }) => __typename === 'RecordChange');
  }

  async started(): Promise<this> {
    await until(() => this.frames.some(({ data }) => data));
    return this;
  }

  cut(): void {
    this.response?.destroy();
  }

  #read(response: IncomingMessage): void {
    this.response = response;
    response.setEncoding('utf8');
    response.on('error', () => (this.end ??= 'cut'));
    response.on('end', () => (this.end ??= 'complete'));
    response.on('data', (part: string) => {
      const blocks = (this.#text + part).split('\n\n');
      this.#text = blocks.pop() ?? '';
      for (const block of blocks) if (!block.startsWith(':')) this.frames.push(frameOf(block));
    });
  }
}

function frameOf(block: string): Frame {
  return Object.fromEntries(
    block
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
}
