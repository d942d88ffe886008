import { isIP } from 'node:net';
import type { EndpointRules } from '../../config.ts';
import { AppError } from '../../errors.ts';

/** Longest URL of an endpoint, in characters. */
export const maxUrlCharacters = 2_000;

/**
 * The URL of an endpoint in its one spelling, in which an address that was written in another way (decimal, octal, hex,
 * short) stands as what it is. Where its name leads is judged when it is connected to, each time.
 * @throws AppError ENDPOINT_FORBIDDEN
 */
export function readEndpointUrl(text: string, rules: EndpointRules): URL {
  if (text.length > maxUrlCharacters)
    throw forbidden(`may have at most ${maxUrlCharacters} characters, not ${text.length}`);
  // URL parsers pass over spaces, tabs and line breaks; who reads the URL later may not.
  if (/[\s\p{Cc}\\]/u.test(text) || !URL.canParse(text)) throw forbidden('is not a URL');
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw forbidden(`must begin with https://, not ${url.protocol.slice(0, 20)}`);
  if (url.username !== '' || url.password !== '')
    throw forbidden('must not carry a user name or password; verify the signature instead');
  if (url.hostname === '' || url.port === '0') throw forbidden('names no host to connect to');
  if (url.protocol === 'http:' && rules.requireHttps && !isAllowedHost(url, rules))
    throw forbidden('must begin with https://');
  // A fragment is never sent.
  url.hash = '';
  return url;
}

/** @param target an IPv6 address as its host may stand in brackets or not */
export function isAllowedHost(
  target: { hostname: string; port: string; protocol: string },
  { allowedHosts }: EndpointRules,
): boolean {
  const host = isIP(target.hostname) === 6 ? `[${target.hostname}]` : target.hostname;
  const port = target.port || (target.protocol === 'https:' ? '443' : '80');
  return allowedHosts.includes(host) || allowedHosts.includes(`${host}:${port}`);
}

export function forbidden(what: string): AppError {
  return new AppError('ENDPOINT_FORBIDDEN', `The endpoint ${what}.`, { details: { argument: 'endpoint' } });
}
