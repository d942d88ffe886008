import { BlockList, isIP } from 'node:net';

/** From how far away a host can be reached. */
export type Reach = 'same machine' | 'same network' | 'everywhere';

/** RFC 6890 and its successors; addresses of IPv4 written as IPv6 are looked up among those of IPv4. */
const sameMachine = subnets([
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['::', 128],
  ['::1', 128],
]);
const sameNetwork = subnets([
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['64:ff9b:1::', 48],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
]);

const localName = /^(localhost|ip6-localhost|ip6-loopback|localhost6?\.localdomain6?|.+\.localhost)$/;
const privateName = /^[^.]+$|\.(local|localdomain|internal|intranet|private|corp|home|lan|home\.arpa|test)$/;

/** Of an http URL, by its host alone: nothing is looked up. */
export function reachOf(url: string): Reach {
  const host = new URL(url).hostname
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
  const family = isIP(host);
  if (family === 0)
    return localName.test(host) ? 'same machine' : privateName.test(host) ? 'same network' : 'everywhere';
  const kind = family === 4 ? 'ipv4' : 'ipv6';
  if (sameMachine.check(host, kind)) return 'same machine';
  return sameNetwork.check(host, kind) ? 'same network' : 'everywhere';
}

function subnets(list: [network: string, prefix: number][]): BlockList {
  const blocks = new BlockList();
  for (const [network, prefix] of list)
    blocks.addSubnet(network, prefix, network.includes(':') ? 'ipv6' : 'ipv4');
  return blocks;
}
