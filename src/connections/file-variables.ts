/** `$${` stands for the characters `${`; `${NAME}` for the value of a variable. */
const reference = /\$\$\{|\$\{([^}]*)\}|\$\{/g;
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * A text with the values of the variables it names, anywhere in it. Values are taken as they are: what looks like a
 * variable in one is not looked up again. An empty variable counts as not set, as everywhere in the configuration.
 * @returns what is wrong instead, naming variables and never their values
 */
export function withVariables(
  text: string,
  variable: (name: string) => string | undefined,
): { text: string; faults: string[] } {
  const faults: string[] = [];
  const replaced = text.replace(reference, (found: string, name?: string) => {
    if (found === '$${') return '${';
    if (name === undefined) faults.push('Has ${ without }. Write $${ for the characters themselves');
    else if (!variableName.test(name))
      faults.push('Has ${…} without the name of a variable. Write $${ for the characters themselves');
    else {
      const value = variable(name);
      if (value !== undefined && value !== '') return value;
      faults.push(`The environment variable ${name} is not set`);
    }
    return '';
  });
  return { text: replaced, faults };
}
