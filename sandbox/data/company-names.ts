import type { SeedRandom } from './seed-random.ts';

const STARTS = [
  'Acme',
  'Globex',
  'Initech',
  'Umbrella',
  'Stark',
  'Wayne',
  'Hooli',
  'Northwind',
  'Contoso',
  'Fabrikam',
  'Aperture',
  'Soylent',
  'Tyrell',
  'Cyberdyne',
  'Vandelay',
  'Wonka',
  'Größe',
  'Café',
  'Ñandú',
  'Łódź',
  '東京',
  'Δelta',
];
const MIDDLES = [
  'Data',
  'Foods',
  'Robotics',
  'Health',
  'Energy',
  'Logistics',
  'Media',
  'Labs',
  'Systems',
  'Textiles',
  'Aviation',
  'Studio',
];
const ENDS = ['Inc.', 'LLC', 'GmbH', 'S.A.', 'Ltd', '& Sons', 'Oy', '株式会社', 'AB'];

export function companyName(random: SeedRandom): string {
  return `${random.pick(STARTS)} ${random.pick(MIDDLES)} ${random.pick(ENDS)}`;
}
