import type { LookupAddress } from 'node:dns';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import { buildConnector } from 'undici';
import type { EndpointRules } from '../../config.ts';
import { isPublicAddress } from './endpoint-address.ts';
import { endpointLookup } from './endpoint-lookup.ts';
import { forbidden, isAllowedHost } from './endpoint-rules.ts';

/** Time to connect, TLS included, in milliseconds. */
const connectTimeoutMs = 5_000;

/**
 * Opens sockets to endpoints. The address is judged where it is used: a name is looked up once, by the very connect that
 * goes to what was found, so no second answer of its DNS can lead elsewhere; an address in the URL is judged as it is; and
 * before anything is written, the address at the other end is looked at once more.
 * @param closing ends all sockets, also those that are still on their way
 */
export function endpointConnector(rules: EndpointRules, closing: AbortSignal): buildConnector.connector {
  const options = { timeout: connectTimeoutMs, maxCachedSessions: 0, signal: closing };
  const open = buildConnector(options);
  const openPublic = buildConnector({
    ...options,
    lookup: publicLookup(rules.lookup ?? endpointLookup(closing)),
  });
  const openAllowed = rules.lookup === null ? open : buildConnector({ ...options, lookup: rules.lookup });
  return (target, callback) => {
    if (isAllowedHost(target, rules)) return openAllowed(target, callback);
    // Sockets look names up, and take addresses as they are.
    const address = target.hostname.replace(/^\[(.*)\]$/, '$1');
    if (isIP(address) !== 0 && !isPublicAddress(address)) return callback(leadsInside(), null);
    openPublic(target, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      if (isConnectedToPublic(socket)) return callback(null, socket);
      socket.destroy();
      callback(leadsInside(), null);
    });
  };
}

function isConnectedToPublic({ remoteAddress }: Socket): boolean {
  return remoteAddress !== undefined && isPublicAddress(remoteAddress);
}

/** One private address among several is enough to refuse: which of them the socket takes is not ours to say. */
function publicLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const addresses: LookupAddress[] = Array.isArray(found)
        ? found
        : [{ address: found, family: isIP(found) }];
      if (addresses.length === 0 || !addresses.every(({ address }) => isPublicAddress(address)))
        return callback(leadsInside(), []);
      if (options.all) return callback(null, addresses);
      callback(null, addresses[0]!.address, addresses[0]!.family);
    });
  };
}

function leadsInside(): Error {
  return forbidden(
    'leads to a private, loopback, link-local or reserved address, where triggers do not deliver. An operator may allow its host with TRIGGER_ALLOWED_HOSTS',
  );
}
