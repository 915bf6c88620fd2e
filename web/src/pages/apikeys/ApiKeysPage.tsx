import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ArrowLeft, KeyRound, Plus, RefreshCw, ServerCrash } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";
import type { ApiKey, IssuedApiKey, Organization } from "../../api/client";
import { asProblem } from "../../api/problem";
import { useTitle } from "../../app/useTitle";
import { useApi } from "../../session/context";
import { Button, Notice, Waiting } from "../../ui/controls";
import { API_KEYS_KEY, ORGANIZATIONS_KEY } from "../keys";
import { TopBar } from "../TopBar";
import { ApiKeyRow } from "./ApiKeyRow";
import { CreateKeyDialog, RevokeKeyDialog, RotateKeyDialog } from "./dialogs";
import { SecretDialog } from "./SecretDialog";

/** The LiveKit key pairs of every organisation the person manages. */
export function ApiKeysPage() {
  useTitle("API keys");
  const api = useApi();
  const list = useQuery({ queryKey: ORGANIZATIONS_KEY, queryFn: () => api.organizations() });
  const managed = (list.data?.items ?? []).filter((organization) => organization.role !== "member");
  return (
    <>
      <TopBar />
      <main className="page page-narrow" id="main">
        <Link className="back" to="/">
          <ArrowLeft size={17} /> Your rooms
        </Link>
        <div className="key-head">
          <h1>API keys</h1>
          <p className="soft">
            LiveKit’s SDKs and tools use a key and its secret to open rooms from your own apps. Rooms opened this way belong to the
            organisation of the key; nobody else’s keys reach them.
          </p>
        </div>
        {list.isPending && <Waiting what="Loading your organisations…" />}
        {list.isError && <Failed error={list.error} again={() => void list.refetch()} busy={list.isFetching} />}
        {managed.map((organization) => (
          <Keys key={organization.id} organization={organization} named={managed.length > 1} />
        ))}
      </main>
    </>
  );
}

type Open = { kind: "create" } | { kind: "rotate" | "revoke"; target: ApiKey } | { kind: "secret"; issued: IssuedApiKey };

function Keys({ organization, named }: { organization: Organization; named: boolean }) {
  const api = useApi();
  const [open, setOpen] = useState<Open | null>(null);
  const list = useInfiniteQuery({
    queryKey: [...API_KEYS_KEY, organization.id],
    queryFn: ({ pageParam }) => api.apiKeys(organization.id, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const close = () => setOpen(null);
  const issued = (pair: IssuedApiKey) => setOpen({ kind: "secret", issued: pair });
  const keys = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section className="panel key-panel" aria-label={`Keys of ${organization.name}`}>
      <div className="key-panel-head">
        <h2>{named ? organization.name : "Your keys"}</h2>
        <Button onClick={() => setOpen({ kind: "create" })}>
          <Plus size={17} aria-hidden="true" /> New key
        </Button>
      </div>
      {list.isPending && <Waiting what="Loading keys…" />}
      {list.isError && <Failed error={list.error} again={() => void list.refetch()} busy={list.isFetching} />}
      {list.isSuccess && keys.length === 0 && (
        <p className="key-none">
          <KeyRound size={20} aria-hidden="true" /> No keys yet. Make one to connect an app of yours.
        </p>
      )}
      {keys.length > 0 && (
        <ul className="key-list" aria-label="API keys">
          {keys.map((item) => (
            <ApiKeyRow
              key={item.id}
              item={item}
              onRotate={() => setOpen({ kind: "rotate", target: item })}
              onRevoke={() => setOpen({ kind: "revoke", target: item })}
            />
          ))}
        </ul>
      )}
      {list.hasNextPage && (
        <div className="more">
          <Button onClick={() => void list.fetchNextPage()} busy={list.isFetchingNextPage}>
            Show more keys
          </Button>
        </div>
      )}
      {open?.kind === "create" && <CreateKeyDialog org={organization.id} onClose={close} onIssued={issued} />}
      {open?.kind === "rotate" && <RotateKeyDialog org={organization.id} target={open.target} onClose={close} onIssued={issued} />}
      {open?.kind === "revoke" && <RevokeKeyDialog org={organization.id} target={open.target} onClose={close} />}
      {open?.kind === "secret" && <SecretDialog issued={open.issued} onClose={close} />}
    </section>
  );
}

function Failed({ error, again, busy }: { error: unknown; again: () => void; busy: boolean }) {
  const problem = asProblem(error);
  return (
    <Notice alert tone="danger" icon={<ServerCrash size={18} />} title={problem.message}>
      <span>{problem.sentence}</span>
      <span>
        <Button onClick={again} busy={busy}>
          <RefreshCw size={16} aria-hidden="true" /> Try again
        </Button>
      </span>
    </Notice>
  );
}
