import getPort from 'get-port';
import { createServer } from 'node:net';
import { AppError } from '../errors.ts';

/** A port that was free a moment ago on every interface. */
export async function freePort(): Promise<number> {
  return getPort();
}

/**
 * The port to listen on. A port that somebody chose is used or refused, never silently replaced: others know it.
 * A default that is taken gives way to a free one. Port 0 means any.
 */
export async function portFor(
  wish: { port: number; isChosen: boolean; variable: string },
  host: string,
  except: readonly number[] = [],
): Promise<number> {
  if (wish.port === 0) return getPort({ host, exclude: except });
  if (!except.includes(wish.port) && (await isFree(wish.port, host))) return wish.port;
  if (!wish.isChosen) return getPort({ exclude: [...except, wish.port] });
  throw new AppError(
    'INTERNAL',
    `Port ${wish.port} is taken on ${host}. Stop what listens there, or set ${wish.variable} to another port (0 for any free one).`,
  );
}

async function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
