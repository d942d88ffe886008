import ipaddr from 'ipaddr.js';

/** All of the internet's IPv6: what lies outside is local, reserved or a way to write IPv4. */
const globalIPv6 = ipaddr.parseCIDR('2000::/3');
/** NAT64's own prefix, by which networks without IPv4 reach it. Its sister 64:ff9b:1::/48 is for private use. */
const nat64 = ipaddr.parseCIDR('64:ff9b::/96');
/** Azure's platform answers its machines here, credentials included, though the address is one of the internet's. */
const azurePlatform = '168.63.129.16';
const sixToFour = ipaddr.parseCIDR('2002::/16');

/**
 * Whether an address belongs to the open internet: not to this machine, its networks, the metadata service of a cloud, or
 * anything reserved. An IPv6 address that carries an IPv4 address is judged by that one.
 */
export function isPublicAddress(text: string): boolean {
  // With a zone (`fe80::1%eth0`) it is one of this machine's networks in any case.
  if (text.includes('%') || !ipaddr.isValid(text)) return false;
  const address = ipaddr.parse(text);
  if (!(address instanceof ipaddr.IPv6)) return isPublicIPv4(address.toByteArray());
  const bytes = address.toByteArray();
  if (address.isIPv4MappedAddress() || address.match(nat64)) return isPublicIPv4(bytes.slice(12));
  if (address.match(sixToFour)) return isPublicIPv4(bytes.slice(2, 6));
  return address.match(globalIPv6) && address.range() === 'unicast';
}

function isPublicIPv4(bytes: number[]): boolean {
  const address = ipaddr.fromByteArray(bytes);
  return address.range() === 'unicast' && address.toString() !== azurePlatform;
}
