import { Column, Entity, PrimaryColumn } from 'typeorm';

export const connectionStates = ['configured', 'connected', 'disconnected', 'error'] as const;
export type ConnectionState = (typeof connectionStates)[number];

/** An organisation's OAuth grant to the upstream. Holds no secret: those stand in `connection_secrets`. */
@Entity('connections')
export class ConnectionEntity {
  @PrimaryColumn({ type: 'integer', generated: 'identity' })
  id!: number;

  @Column({ type: 'text' })
  type!: 'calendly';

  @Column({ type: 'text', unique: true })
  name!: string;

  @Column({ name: 'client_id', type: 'text' })
  clientId!: string;

  @Column({ type: 'text' })
  state!: ConnectionState;

  @Column({ name: 'problem_code', type: 'text', nullable: true })
  problemCode!: string | null;

  @Column({ name: 'problem_message', type: 'text', nullable: true })
  problemMessage!: string | null;

  @Column({ name: 'requested_scopes', type: 'text', array: true })
  requestedScopes!: string[];

  @Column({ name: 'granted_scopes', type: 'text', array: true, default: [] })
  grantedScopes!: string[];

  @Column({ name: 'account_id', type: 'text', nullable: true })
  accountId!: string | null;

  @Column({ name: 'account_email', type: 'text', nullable: true })
  accountEmail!: string | null;

  /** Rises with each credential change, disconnect and new flow; an OAuth answer of an older epoch is void. */
  @Column({ type: 'integer', default: 0 })
  epoch!: number;

  /** Rises with each stored token pair. */
  @Column({ name: 'token_generation', type: 'integer', default: 0 })
  tokenGeneration!: number;

  /** The generation whose refresh has left but whose answer is not stored. */
  @Column({ name: 'refresh_sent_generation', type: 'integer', nullable: true })
  refreshSentGeneration!: number | null;

  /** The generation that was in force when its secrets could not be decrypted: should they be again, it still is. */
  @Column({ name: 'unreadable_generation', type: 'integer', nullable: true })
  unreadableGeneration!: number | null;

  @Column({ name: 'access_token_expires_at', type: 'timestamptz', nullable: true })
  accessTokenExpiresAt!: Date | null;

  @Column({ name: 'refresh_token_expires_at', type: 'timestamptz', nullable: true })
  refreshTokenExpiresAt!: Date | null;

  @Column({ name: 'last_refreshed_at', type: 'timestamptz', nullable: true })
  lastRefreshedAt!: Date | null;

  /** Up to ten minutes behind. */
  @Column({ name: 'last_used_at', type: 'timestamptz', nullable: true })
  lastUsedAt!: Date | null;

  /** Written down in the connections file, which alone renames it, changes its credentials and ends it. */
  @Column({ name: 'managed_by_file', type: 'boolean', default: false })
  managedByFile!: boolean;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt!: Date;

  @Column({ name: 'updated_at', type: 'timestamptz', default: () => 'now()' })
  updatedAt!: Date;
}
