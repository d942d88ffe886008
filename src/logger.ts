import { pino, type Logger as PinoLogger } from 'pino';

export type Logger = PinoLogger;

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * Secrets are kept out of log calls in the first place; these paths are the second fence, for objects that carry
 * headers or credentials by nature.
 */
const redactedPaths = [
  'authorization',
  'clientSecret',
  'accessToken',
  'refreshToken',
  'macSecret',
  'apiKey',
  'password',
]
  .flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
  .concat(['headers.cookie', 'req.headers.cookie', 'headers["set-cookie"]']);

/** JSON lines on stderr, so that stdout stays free for what a person reads at start. */
export function createLogger(level: LogLevel, destination: NodeJS.WritableStream = process.stderr): Logger {
  return pino(
    {
      level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => describeError(error) },
      redact: { paths: redactedPaths, censor: '***' },
    },
    destination,
  );
}

/**
 * An error as it is logged: what happened and where, with its causes. Nothing else of it, since database errors carry
 * their parameters, and those are people's data.
 */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return String(error);
  const { name, message, stack, cause } = error;
  const code: unknown = 'code' in error ? error.code : undefined;
  return {
    type: name,
    message,
    ...(code === undefined ? {} : { code }),
    stack,
    ...(cause === undefined || depth >= 3 ? {} : { cause: describeError(cause, depth + 1) }),
  };
}
