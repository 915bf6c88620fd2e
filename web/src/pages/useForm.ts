/** Sending a form once, with the answer's problems beside the fields they belong to. */
import { useRef, useState, type SyntheticEvent } from "react";
import { asProblem, type Problem } from "../api/problem";

export type FieldErrors = Readonly<Record<string, string | undefined>>;

export function useForm(send: (values: FormData) => Promise<void>, check: (values: FormData) => FieldErrors) {
  const form = useRef<HTMLFormElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [errors, setErrors] = useState<FieldErrors>({});

  const showErrors = (next: FieldErrors) => {
    setErrors(next);
    const first = Object.keys(next).find((name) => next[name]);
    if (first) form.current?.querySelector<HTMLElement>(`[name="${first}"]`)?.focus();
    return first !== undefined;
  };

  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (busy) return;
    const values = new FormData(event.currentTarget);
    setProblem(null);
    if (showErrors(check(values))) return;
    setBusy(true);
    try {
      await send(values);
    } catch (error) {
      const failed = asProblem(error);
      const beside = Object.fromEntries(failed.fields.map(({ field, message }) => [field, message]));
      const shown = Object.keys(beside).filter((name) => form.current?.elements.namedItem(name));
      showErrors(beside);
      setProblem(shown.length > 0 ? null : failed);
    } finally {
      setBusy(false);
    }
  };

  const clear = (name: string) => {
    if (errors[name]) setErrors({ ...errors, [name]: undefined });
  };

  return {
    busy,
    problem,
    errors,
    form: {
      ref: form,
      noValidate: true,
      onSubmit: (event: SyntheticEvent<HTMLFormElement>) => void submit(event),
      onInput: (event: SyntheticEvent<HTMLFormElement>) => {
        if (event.target instanceof HTMLInputElement) clear(event.target.name);
      },
    },
  };
}

export function textOf(values: FormData, name: string): string {
  const value = values.get(name);
  return typeof value === "string" ? value : "";
}
