/** What GraphiQL shows a newcomer: the whole path, a tab a step. Ids are those of the bundled sandbox. */
export const explorerTabs = [
  `# 1. Connect. Run Create, then Connect, and open the link that it gives.
# Ctrl-Enter runs the operation under the cursor.

mutation Create {
  createConnection(
    input: {
      type: "calendly"
      name: "Marketing Calendly Workspace"
      clientId: "calendly_client_xyz789"
      clientSecret: "secret_calendly_abc123"
    }
  ) {
    ... on CreateConnectionSuccess {
      connection {
        id
        state
      }
    }
    ... on Error {
      code
      message
    }
  }
}

mutation Connect {
  connectConnection(input: { connection: 1 }) {
    ... on ConnectConnectionSuccess {
      authorizationUrl
      expiresAt
    }
    ... on Error {
      code
      message
    }
  }
}

query Connections {
  connections {
    id
    name
    state
    availableActions
    problem {
      message
    }
  }
}
`,
  `# 2. Read. Linked records are fetched a hundred at a time;
# extensions.upstream at the end of the answer tells what it cost.

query Contacts {
  base(connection: 1, baseId: "appABC123") {
    name
    table(id: "Contacts") {
      records(first: 10, formula: "AND({Status} = 'Active', {Email})", sort: [{ field: "Name" }]) {
        nodes {
          id
          name: text(field: "Name")
          email: text(field: "Email")
          status: text(field: "Status")
          company: linked(field: "Company") {
            name: text(field: "Name")
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
}
`,
  `# 3. Listen. Leave it running, and write in the next tab.

subscription Changes {
  recordChanges(connection: 1, baseId: "appABC123", tableId: "Contacts") {
    ... on FeedPosition {
      cursor
    }
    ... on RecordChange {
      cursor
      kind
      recordId
      fields {
        name
        previous
        current
      }
    }
    ... on ChangesLost {
      reason
      since
      until
    }
  }
}
`,
  `# 4. Write. Each record has a result of its own.

mutation Write {
  createRecords(
    input: {
      connection: 1
      baseId: "appABC123"
      tableId: "tblDEF456"
      records: [{ fields: { Name: "John Doe", Email: "john@example.com", Status: "Active" } }]
    }
  ) {
    ... on CreateRecordsSuccess {
      results {
        status
        record {
          id
          fields
        }
        error {
          message
        }
      }
    }
    ... on Error {
      code
      message
    }
  }
}
`,
];
