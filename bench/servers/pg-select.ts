import pg from 'pg';
import { listenOn, serve } from './serve.ts';

interface Body {
  site?: string;
  id?: string;
}

const columns = '_calendly_id AS id, name, email, status, score, vip, phone';

/**
 * What one would write by hand over the same table: node:http that parses the JSON it is sent, one prepared statement, and
 * the rows as JSON.
 */
serve(async ({ databaseUrl, table }) => {
  if (table === undefined) throw new Error('It was not told which table.');
  // As many as ours keeps.
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 10 });
  const page = `SELECT ${columns} FROM ${table} WHERE website = $1 ORDER BY score DESC NULLS LAST, _id LIMIT 100`;
  const lookup = `SELECT ${columns} FROM ${table} WHERE _calendly_id = $1`;
  const rows = async ({ site, id }: Body): Promise<unknown[]> => {
    const asked = id === undefined ? { name: 'page', text: page } : { name: 'lookup', text: lookup };
    const answer = await pool.query<{ score: string | null }>({ ...asked, values: [id ?? site] });
    return answer.rows.map((row) => ({ ...row, score: row.score === null ? null : Number(row.score) }));
  };
  const url = await listenOn((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      rows(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Body).then(
        (data) => {
          const text = JSON.stringify({ data });
          const length = Buffer.byteLength(text);
          response.writeHead(200, { 'content-type': 'application/json', 'content-length': length }).end(text);
        },
        (error: unknown) => response.writeHead(500).end(JSON.stringify({ errors: [String(error)] })),
      );
    });
  });
  return { url: `${url}/rows`, headers: {} };
});
