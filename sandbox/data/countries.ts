import worldCountries, { type Country } from 'world-countries';
import type { RecordDoc, SeedBase } from '../bases/documents.ts';
import { Ids } from '../ids.ts';
import { link, linkTables, SeedTable } from './seed-table.ts';

// The package's types describe its CommonJS build; imported into a module, the default is the list itself.
const countries = worldCountries as unknown as readonly Country[];

const SEED = 19_580_101;
const BASE_ID = 'appWorldCountries';
const CREATED = '2025-01-01T00:00:00.000Z';

/** Real data: countries with languages, currencies, regions and neighbours. */
export function countriesBase(): SeedBase {
  const ids = new Ids(SEED);
  const tables = countryTables(ids);
  addRecords(tables);
  const all = Object.values(tables);
  return {
    id: BASE_ID,
    name: 'Countries of the World',
    tables: all.map((table) => table.doc),
    records: all.flatMap((table) => table.records),
  };
}

type CountryTables = Record<'countries' | 'languages' | 'currencies' | 'regions' | 'subregions', SeedTable>;

function countryTables(ids: Ids): CountryTables {
  const table = (name: string, description: string) => new SeedTable(ids, BASE_ID, name, description);
  const tables: CountryTables = {
    countries: table('Countries', 'Countries and territories of ISO 3166'),
    languages: table('Languages', 'Official languages by ISO 639-3 code'),
    currencies: table('Currencies', 'Currencies by ISO 4217 code'),
    regions: table('Regions', 'Continents'),
    subregions: table('Subregions', 'Parts of continents'),
  };
  const { countries: main, languages, currencies, regions, subregions } = tables;
  addCountryFields(main);
  languages.add('Name', 'singleLineText');
  languages.add('Code', 'singleLineText');
  currencies.add('Name', 'singleLineText');
  currencies.add('Code', 'singleLineText');
  currencies.add('Symbol', 'singleLineText');
  regions.add('Name', 'singleLineText');
  subregions.add('Name', 'singleLineText');
  linkTables([main, 'Languages'], [languages, 'Countries']);
  linkTables([main, 'Currencies'], [currencies, 'Countries']);
  linkTables([main, 'Region'], [regions, 'Countries'], { from: true });
  linkTables([main, 'Subregion'], [subregions, 'Countries'], { from: true });
  linkTables([subregions, 'Region'], [regions, 'Subregions'], { from: true });
  main.add('Borders', 'multipleRecordLinks', {
    linkedTableId: main.doc.id,
    isReversed: false,
    prefersSingleRecordLink: false,
  });
  main.count('Neighbours', 'Borders');
  languages.count('Country count', 'Countries');
  main.view('All countries', 'grid');
  main.view('Largest first', 'grid', { sort: [{ fieldId: main.fieldId('Area'), direction: 'desc' }] });
  for (const other of [languages, currencies, regions, subregions]) other.view('Grid view', 'grid');
  return tables;
}

function addCountryFields(main: SeedTable): void {
  main.add('Name', 'singleLineText');
  main.add('Official name', 'singleLineText');
  main.add('Native names', 'multilineText');
  main.add('Code', 'singleLineText', undefined, { description: 'ISO 3166-1 alpha-3' });
  main.add('Flag', 'singleLineText');
  main.add('Capital', 'singleLineText');
  main.add('Area', 'number', { precision: 2 });
  main.add('Latitude', 'number', { precision: 4 });
  main.add('Longitude', 'number', { precision: 4 });
  main.add('Landlocked', 'checkbox', { icon: 'check', color: 'blueBright' });
  main.add('Independent', 'checkbox', { icon: 'check', color: 'greenBright' });
  main.add('UN member', 'checkbox', { icon: 'flag', color: 'blueBright' });
  main.select('Domains', 'multipleSelects', [...new Set(countries.flatMap((country) => country.tld))]);
}

function addRecords({ countries: main, languages, currencies, regions, subregions }: CountryTables): void {
  const once = new Map<string, RecordDoc>();
  /** The record of that key, made when it is first asked for. */
  const entry = (table: SeedTable, key: string, cells: () => Record<string, unknown>): RecordDoc => {
    const known = once.get(`${table.doc.id}/${key}`);
    if (known) return known;
    const record = table.record(CREATED, cells());
    once.set(`${table.doc.id}/${key}`, record);
    return record;
  };
  const byCode = new Map<string, RecordDoc>();
  for (const country of countries) {
    const record = main.record(CREATED, countryCells(country));
    byCode.set(country.cca3, record);
    const spoken = Object.entries(country.languages).map(([code, name]) =>
      entry(languages, code, () => ({ Name: name, Code: code })),
    );
    const money = Object.entries(country.currencies).map(([code, { name, symbol }]) =>
      entry(currencies, code, () => ({ Name: name, Code: code, Symbol: symbol })),
    );
    link([main, 'Languages'], record, [languages, 'Countries'], spoken);
    link([main, 'Currencies'], record, [currencies, 'Countries'], money);
    const region = entry(regions, country.region, () => ({ Name: country.region }));
    link([main, 'Region'], record, [regions, 'Countries'], [region]);
    if (country.subregion === '') continue;
    const isNew = !once.has(`${subregions.doc.id}/${country.subregion}`);
    const subregion = entry(subregions, country.subregion, () => ({ Name: country.subregion }));
    link([main, 'Subregion'], record, [subregions, 'Countries'], [subregion]);
    if (isNew) link([subregions, 'Region'], subregion, [regions, 'Subregions'], [region]);
  }
  for (const country of countries) {
    const record = byCode.get(country.cca3);
    const borders = country.borders.map((code) => byCode.get(code)?.id).filter((id) => id !== undefined);
    if (record) main.put(record, 'Borders', borders);
  }
}

function countryCells(country: Country): Record<string, unknown> {
  return {
    Name: country.name.common,
    'Official name': country.name.official,
    'Native names': Object.values(country.name.native ?? {})
      .map((native) => native.official)
      .join('\n'),
    Code: country.cca3,
    Flag: country.flag,
    Capital: country.capital.join(', '),
    Area: country.area,
    Latitude: country.latlng[0],
    Longitude: country.latlng[1],
    Landlocked: country.landlocked,
    Independent: country.independent === true,
    'UN member': country.unMember,
    Domains: country.tld,
  };
}
