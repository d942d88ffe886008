import type { FieldOptions } from '../bases/documents.ts';
import type { Ids } from '../ids.ts';
import { linkTables, SeedTable } from './seed-table.ts';

export const CRM_BASE_ID = 'appABC123';
export const CONTACTS_TABLE_ID = 'tblDEF456';

export const STATUSES = ['Lead', 'Active', 'Customer', 'Inactive', 'Churned'] as const;
export const TAGS = ['Newsletter', 'Partner', 'Press', 'Événement', 'Beta, early', 'Do not call'] as const;
export const INDUSTRIES = [
  'Software',
  'Healthcare',
  'Finance',
  'Retail',
  'Manufacturing',
  'Energy',
  'Education',
] as const;
export const STAGES = ['Prospecting', 'Qualified', 'Proposal', 'Negotiation', 'Won', 'Lost'] as const;

const EMPTY: FieldOptions = {};
const ISO_DATE: FieldOptions = { dateFormat: { name: 'iso', format: 'YYYY-MM-DD' } };
const LOCAL_DATE: FieldOptions = { dateFormat: { name: 'local', format: 'l' } };
const UTC_DATE_TIME: FieldOptions = {
  ...ISO_DATE,
  timeFormat: { name: '24hour', format: 'HH:mm' },
  timeZone: 'utc',
};
const PARIS_DATE_TIME: FieldOptions = {
  dateFormat: { name: 'european', format: 'D/M/YYYY' },
  timeFormat: { name: '12hour', format: 'h:mma' },
  timeZone: 'Europe/Paris',
};
const DATE_TIME_RESULT: FieldOptions = { result: { type: 'dateTime', options: UTC_DATE_TIME } };
const CHECKBOX: FieldOptions = { icon: 'check', color: 'greenBright' };
const DOLLARS: FieldOptions = { precision: 2, symbol: '$' };
const NUMBER_RESULT: FieldOptions['result'] = { type: 'number', options: { precision: 0 } };

export interface CrmTables {
  contacts: SeedTable;
  companies: SeedTable;
  deals: SeedTable;
}

/** The three tables without records. Links come before the fields computed through them. */
export function crmTables(ids: Ids): CrmTables {
  const contacts = new SeedTable(ids, CRM_BASE_ID, 'Contacts', 'Everyone we talk to', CONTACTS_TABLE_ID);
  const companies = new SeedTable(ids, CRM_BASE_ID, 'Companies', 'Where our contacts work');
  const deals = new SeedTable(ids, CRM_BASE_ID, 'Deals', 'What we hope to sell them');
  addContactFields(contacts);
  addCompanyFields(companies);
  addDealFields(deals);
  linkTables([contacts, 'Company'], [companies, 'Contacts'], { from: true });
  linkTables([deals, 'Contacts'], [contacts, 'Deals']);
  linkTables([deals, 'Company'], [companies, 'Deals'], { from: true });
  companies.add('Parent company', 'multipleRecordLinks', {
    linkedTableId: companies.doc.id,
    isReversed: false,
    prefersSingleRecordLink: true,
  });
  addComputedFields({ contacts, companies, deals });
  addViews({ contacts, companies, deals });
  return { contacts, companies, deals };
}

function addContactFields(contacts: SeedTable): void {
  contacts.add('Name', 'singleLineText', undefined, { description: 'First and last name' });
  contacts.add('Email', 'email');
  contacts.select('Status', 'singleSelect', STATUSES);
  contacts.add('Phone', 'phoneNumber');
  contacts.add('Website', 'url');
  contacts.add('Notes', 'multilineText');
  contacts.add('Bio', 'richText');
  contacts.select('Tags', 'multipleSelects', TAGS);
  contacts.add('VIP', 'checkbox', CHECKBOX);
  contacts.add('Score', 'number', { precision: 0 });
  contacts.add('Rating', 'rating', { icon: 'star', color: 'yellowBright', max: 5 });
  contacts.add('Budget', 'currency', DOLLARS);
  contacts.add('Engagement', 'percent', { precision: 1 });
  contacts.add('Birthday', 'date', ISO_DATE);
  contacts.add('Last contacted', 'dateTime', UTC_DATE_TIME);
  contacts.add('Call duration', 'duration', { durationFormat: 'h:mm:ss' });
  contacts.add('Owner', 'singleCollaborator', EMPTY);
  contacts.add('Watchers', 'multipleCollaborators', EMPTY);
  contacts.add('Avatar', 'multipleAttachments', { isReversed: false });
  contacts.add('Badge', 'barcode');
  contacts.add('Summary', 'aiText', {
    prompt: ['Summarise the notes'],
    referencedFieldIds: [contacts.fieldId('Notes')],
  });
  contacts.select('Source', 'externalSyncSource', ['Website form', 'Trade fair', 'Import']);
  contacts.add('Contact number', 'autoNumber');
  contacts.add('Created', 'createdTime', DATE_TIME_RESULT);
  contacts.add('Last modified', 'lastModifiedTime', {
    isValid: true,
    referencedFieldIds: [],
    ...DATE_TIME_RESULT,
  });
  contacts.add('Created by', 'createdBy');
  contacts.add('Last modified by', 'lastModifiedBy');
}

function addCompanyFields(companies: SeedTable): void {
  companies.add('Name', 'singleLineText');
  companies.add('Website', 'url');
  companies.select('Industry', 'singleSelect', INDUSTRIES);
  companies.add('Employees', 'number', { precision: 0 });
  companies.add('Annual revenue', 'currency', { precision: 0, symbol: '€' });
  companies.add('Founded', 'date', LOCAL_DATE);
  companies.add('Address', 'multilineText');
  companies.add('Priority', 'rating', { icon: 'flag', color: 'redBright', max: 3 });
  companies.add('Key account', 'checkbox', CHECKBOX);
  companies.add('Logo', 'multipleAttachments', { isReversed: false });
  companies.add('Account team', 'multipleCollaborators', EMPTY);
  companies.add('Created', 'createdTime', DATE_TIME_RESULT);
}

function addDealFields(deals: SeedTable): void {
  deals.add('Name', 'singleLineText');
  deals.select('Stage', 'singleSelect', STAGES);
  deals.add('Amount', 'currency', DOLLARS);
  deals.add('Probability', 'percent', { precision: 0 });
  deals.add('Close date', 'date', ISO_DATE);
  deals.add('Next meeting', 'dateTime', PARIS_DATE_TIME);
  deals.add('Next step', 'multilineText');
  deals.add('Owner', 'singleCollaborator', EMPTY);
  deals.add('Deal number', 'autoNumber');
  deals.add('Created', 'createdTime', DATE_TIME_RESULT);
}

function addComputedFields({ contacts, companies, deals }: CrmTables): void {
  const field = (table: SeedTable, name: string) => {
    const found = table.doc.fields.find((candidate) => candidate.name === name);
    if (!found) throw new Error(`The table ${table.doc.name} has no field ${name}`);
    return found;
  };
  contacts.formula('Label', "{Name} & IF({Email}, ' <' & {Email} & '>', '')", { type: 'singleLineText' });
  contacts.formula('Score per star', '{Score} / {Rating}', { type: 'number', options: { precision: 2 } });
  contacts.formula('Next birthday month', "IF({Birthday}, DATEADD({Birthday}, 1, 'month'))", {
    type: 'date',
    options: ISO_DATE,
  });
  contacts.count('Deal count', 'Deals');
  contacts.lookup('Company industry', 'Company', field(companies, 'Industry'));
  contacts.lookup('Close dates', 'Deals', field(deals, 'Close date'));
  contacts.rollup('Deal total', 'Deals', field(deals, 'Amount'), 'SUM');
  contacts.add('Write', 'button', undefined, {
    button: {
      label: 'Write',
      urlFormula: `IF({${contacts.fieldId('Email')}}, 'mailto:' & {${contacts.fieldId('Email')}})`,
    },
  });
  companies.count('Contact count', 'Contacts');
  companies.lookup('Contact emails', 'Contacts', field(contacts, 'Email'));
  companies.rollup('Pipeline', 'Deals', field(deals, 'Amount'), 'SUM');
  companies.lookup('Parent name', 'Parent company', field(companies, 'Name'));
  deals.formula('Expected value', '{Amount} * {Probability}', { type: 'currency', options: DOLLARS });
  deals.formula('Is won', "IF({Stage} = 'Won', 1, 0)", NUMBER_RESULT);
  deals.lookup('Industry', 'Company', field(companies, 'Industry'));
  deals.lookup('Contact names', 'Contacts', field(contacts, 'Name'));
}

function addViews({ contacts, companies, deals }: CrmTables): void {
  const by = (table: SeedTable, name: string, direction: 'asc' | 'desc' = 'asc') => [
    { fieldId: table.fieldId(name), direction },
  ];
  contacts.view('All contacts', 'grid');
  contacts.view('Active contacts', 'grid', {
    filterFormula: `{${contacts.fieldId('Status')}} = 'Active'`,
    sort: by(contacts, 'Name'),
    hiddenFieldIds: [contacts.fieldId('Notes'), contacts.fieldId('Bio')],
  });
  contacts.view('VIPs by score', 'grid', {
    filterFormula: `{${contacts.fieldId('VIP')}}`,
    sort: by(contacts, 'Score', 'desc'),
  });
  contacts.view('By status', 'kanban');
  contacts.view('Birthdays', 'calendar', { filterFormula: `{${contacts.fieldId('Birthday')}} != ''` });
  contacts.view('Faces', 'gallery');
  contacts.view('New contact', 'form');
  companies.view('All companies', 'grid');
  companies.view('Largest first', 'grid', { sort: by(companies, 'Employees', 'desc') });
  deals.view('All deals', 'grid');
  deals.view('Open deals', 'grid', {
    filterFormula: `AND({${deals.fieldId('Stage')}} != 'Won', {${deals.fieldId('Stage')}} != 'Lost')`,
    sort: by(deals, 'Close date'),
  });
  deals.view('Pipeline', 'kanban');
  deals.view('Schedule', 'timeline');
}
