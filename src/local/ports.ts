import getPort, { portNumbers } from 'get-port';
import { createServer } from 'node:net';
import { AppError } from '../errors.ts';

/** How many ports after a taken default are tried before any free one is taken. */
const nearbyPorts = 20;

/** A port that was free a moment ago on every interface. */
export async function freePort(): Promise<number> {
  return getPort();
}

export interface PortWish {
  /** 0 means any. */
  port: number;
  isChosen: boolean;
  /** The variable by which it is chosen. */
  variable: string;
}

/**
 * The port to listen on. A port that somebody chose is used or refused, never silently replaced: others know it.
 * A default that is taken gives way to a free one nearby.
 * @param except Ports that are promised to somebody else.
 */
export async function portFor(wish: PortWish, host: string, except: readonly number[] = []): Promise<number> {
  // Another wish for any port excludes nothing.
  const exclude = except.filter((port) => port !== 0);
  if (wish.port === 0) return getPort({ exclude });
  if (!wish.isChosen) {
    return getPort({ port: portNumbers(wish.port, wish.port + nearbyPorts), exclude });
  }
  const fault = exclude.includes(wish.port) ? 'EADDRINUSE' : await whyNot(wish.port, host);
  if (fault === null) return wish.port;
  throw new AppError(
    'INTERNAL',
    `${wish.variable}: port ${wish.port} on ${host} ${explain(fault)}, or set ${wish.variable}=0 for any free one.`,
  );
}

function explain(fault: string): string {
  if (fault === 'EADDRINUSE') return 'is taken. Stop what listens there, choose another';
  if (fault === 'EACCES') return 'may not be used by this user. Choose one above 1023';
  return `cannot be used (${fault}). Choose another, check HOST`;
}

/** Whether a chosen port can be listened on: null, or the system's error code. */
async function whyNot(port: number, host: string): Promise<string | null> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(null)));
  });
}
