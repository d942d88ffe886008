import type { MigrationInterface, QueryRunner } from 'typeorm';
import { permitsSchema, permitsSchemaDown } from '../../calendly/permits-schema.ts';

/** The budget of upstream calls that all instances share. Its functions are written next to the code that calls them. */
export class RateBudgets1764000000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(permitsSchema);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(permitsSchemaDown);
  }
}
