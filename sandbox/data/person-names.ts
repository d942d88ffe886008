import type { SeedRandom } from './seed-random.ts';

/** First and last names that go together; the last is written first where that is the custom. */
interface NamePool {
  first: readonly string[];
  last: readonly string[];
  lastFirst?: boolean;
}

const POOLS: readonly NamePool[] = [
  {
    first: [
      'James',
      'Olivia',
      'Liam',
      'Emma',
      'Noah',
      'Charlotte',
      'Henry',
      'Amelia',
      'Theodore',
      'Grace',
      'Samuel',
      'Ruth',
    ],
    last: [
      'Smith',
      'Johnson',
      'Taylor',
      'Brown',
      'Walker',
      'Wright',
      'Hughes',
      'Clarke',
      'Edwards',
      'Okafor',
      'Patel',
      'Nguyen',
    ],
  },
  {
    first: ['Seán', 'Aoife', 'Ciarán', 'Niamh', 'Róisín', 'Pádraig'],
    last: ["O'Brien", "O'Hara", 'Ní Dhomhnaill', "D'Arcy", 'McCarthy', 'Fitzgerald'],
  },
  {
    first: ['Jürgen', 'Käthe', 'Björn', 'Anneliese', 'Günther', 'Sören'],
    last: ['Müller', 'Weiß', 'Schröder', 'von der Heide', 'Großmann', 'Ångström'],
  },
  {
    first: ['José', 'María', 'Íñigo', 'Lucía', 'Zoë', 'François', 'Chloé', 'Anaïs'],
    last: ['Núñez', 'García Márquez', 'Lefèvre', "de L'Hôpital", 'Gonçalves', 'Peña-Ibáñez'],
  },
  {
    first: ['Łukasz', 'Zofia', 'Dvořák', 'Jiří', 'Şebnem', 'İbrahim', 'Ştefan'],
    last: ['Wałęsa', 'Šťastný', 'Kowalczyk', 'Yıldız', 'Özgür', 'Țepeș'],
  },
  {
    first: ['Алексей', 'Ольга', 'Дмитрий', 'Наталья'],
    last: ['Иванов', 'Кузнецова', 'Щербаков', 'Чайковская'],
  },
  { first: ['Γιώργος', 'Ελένη', 'Νίκος'], last: ['Παπαδόπουλος', 'Οικονόμου', 'Ξενάκης'] },
  { first: ['太郎', '花子', 'さくら', '健一'], last: ['山田', '佐藤', '鈴木', '髙橋'], lastFirst: true },
  { first: ['伟', '芳', '秀英', '敏'], last: ['王', '李', '张', '欧阳'], lastFirst: true },
  { first: ['민준', '서연', '지훈'], last: ['김', '박', '최'], lastFirst: true },
  { first: ['محمد', 'فاطمة', 'عمر'], last: ['الحسن', 'بن سعيد', 'الشريف'] },
  { first: ['דוד', 'נועה', 'יעל'], last: ['כהן', 'לוי', 'מזרחי'] },
  { first: ['आरव', 'प्रिया', 'रोहन'], last: ['शर्मा', 'वर्मा', 'गुप्ता'] },
  { first: ['Nguyễn Thị', 'Trần Văn'], last: ['Hương', 'Đức', 'Phượng'] },
];

/** The first contacts: names that break careless quoting, sorting and measuring. */
export const AWKWARD_NAMES: readonly string[] = [
  'Ada Lovelace',
  "Miles O'Brien",
  'Dwayne "The Rock" Johnson',
  'Back\\slash Bob',
  '{Curly} Braces',
  'Comma, Inc.',
  '🦄 Unicorn Rider',
  '👩‍👩‍👧‍👦 Family',
  'Zoe\u0308 Decomposed',
  'שלום World',
  'Tab\tand\nNewline',
  '0',
  'TRUE()',
  '%41%2F/../ ?#&+',
  "Robert'); DROP TABLE Contacts;--",
  '<script>alert(1)</script>',
];

/** Half of the people have English names; the rest come from all over. */
export function personName(random: SeedRandom): string {
  const pool = random.chance(0.5) ? (POOLS[0] as NamePool) : random.pick(POOLS);
  const [first, last] = [random.pick(pool.first), random.pick(pool.last)];
  return pool.lastFirst ? `${last} ${first}` : `${first} ${last}`;
}

/** What can stand before the `@`: ASCII letters and digits of the name, or `contact` if it has none. */
export function mailboxName(name: string): string {
  const ascii = name.normalize('NFKD').replace(/[^A-Za-z0-9 ]/g, '');
  return ascii.trim().toLowerCase().replaceAll(/ +/g, '.') || 'contact';
}
