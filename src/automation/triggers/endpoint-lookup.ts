import { lookup as systemLookup, Resolver, type LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';

/** What a DNS server may take for one answer, in milliseconds, and how often it is asked. */
const dnsTimeoutMs = 2_000;
const maxTries = 2;

/** DNS has said that it knows of nothing, or there is none: the system may know names from elsewhere, and says so at once. */
const unknownNames: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA', 'ECONNREFUSED']);

/**
 * Looks names up that anybody may have put into a trigger. The system's own way holds a thread for each, of which the
 * process has two for all its names: one whose DNS servers keep silent would hold up every other endpoint, the upstream
 * and the database for as long. So DNS is asked over sockets, and the system only for what DNS does not know.
 * @param closing ends lookups that are under way
 * @param servers those to ask, as address:port; the system's unless a test has its own
 */
export function endpointLookup(closing: AbortSignal, servers?: readonly string[]): LookupFunction {
  return (hostname, options, callback) => {
    // Each anew, since it reads the system's settings but once.
    const resolver = new Resolver({ timeout: dnsTimeoutMs, tries: maxTries });
    if (servers) resolver.setServers(servers);
    const cancel = (): void => resolver.cancel();
    closing.addEventListener('abort', cancel);
    const found: LookupAddress[] = [];
    const errors: NodeJS.ErrnoException[] = [];
    let isLast = false;
    const told =
      (family: 4 | 6) =>
      (error: NodeJS.ErrnoException | null, addresses: string[]): void => {
        if (error) errors.push(error);
        else found.push(...addresses.map((address) => ({ address, family })));
        if (!isLast) return void (isLast = true);
        closing.removeEventListener('abort', cancel);
        const [first] = found.sort((a, b) => a.family - b.family);
        if (first && options.all) callback(null, found);
        else if (first) callback(null, first.address, first.family);
        else if (errors.every(({ code }) => unknownNames.has(code ?? '')))
          systemLookup(hostname, options, callback);
        else callback(errors.find(({ code }) => !unknownNames.has(code ?? '')) ?? null, []);
      };
    resolver.resolve4(hostname, told(4));
    resolver.resolve6(hostname, told(6));
  };
}
