// The RFM tab of a contact, a company or a deal. All words come from the connector, in the user's language.
import React, { useEffect, useState } from "react";
import {
  Alert,
  DescriptionList,
  DescriptionListItem,
  Divider,
  Flex,
  Heading,
  LoadingSpinner,
  Text,
  hubspot,
} from "@hubspot/ui-extensions";

const BASE_URL = "https://app.example.com";

type Line = { label: string; value: string };

type Card = {
  scored: boolean;
  title: string;
  meaning: string;
  first_step?: string;
  offer?: string;
  labels?: { first_step: string; offer: string; recent: string };
  lines: Line[];
  recent?: Line[];
  notes: string[];
};

hubspot.extend(({ context }) => <RfmCard context={context} />);

const addressOf = (context: any): string => {
  const asked = new URLSearchParams({
    portalId: String(context.portal.id),
    objectTypeId: String(context.crm.objectTypeId),
    objectId: String(context.crm.objectId),
    language: String(context.user.locale || ""),
  });
  return `${BASE_URL}/card/hubspot?${asked}`;
};

const RfmCard = ({ context }: { context: any }) => {
  const [card, setCard] = useState<Card | null>(null);
  const [hasFailed, setFailed] = useState(false);

  useEffect(() => {
    hubspot
      .fetch(addressOf(context), { method: "GET", timeout: 10000 })
      .then((answer) => (answer.ok ? answer.json() : Promise.reject(answer.status)))
      .then(setCard)
      .catch(() => setFailed(true));
  }, []);

  if (hasFailed) {
    return <Alert title="RFM" variant="warning">The score cannot be shown now. Reload the record.</Alert>;
  }
  return card ? <Shown card={card} /> : <LoadingSpinner label="RFM" />;
};

const Lines = ({ lines }: { lines: Line[] }) => (
  <DescriptionList direction="row">
    {lines.map((line) => (
      <DescriptionListItem key={line.label} label={line.label}>
        <Text>{line.value}</Text>
      </DescriptionListItem>
    ))}
  </DescriptionList>
);

const Shown = ({ card }: { card: Card }) => (
  <Flex direction="column" gap="small">
    <Heading>{card.title}</Heading>
    <Text>{card.meaning}</Text>
    {card.labels && <Text>{`${card.labels.first_step}. ${card.first_step}`}</Text>}
    {card.labels && <Text>{`${card.labels.offer}. ${card.offer}`}</Text>}
    <Lines lines={card.lines} />
    {card.recent && card.recent.length > 0 && <Divider />}
    {card.recent && card.recent.length > 0 && <Heading inline={true}>{card.labels?.recent}</Heading>}
    {card.recent && <Lines lines={card.recent} />}
    {card.notes.map((note) => (
      <Alert key={note} title="RFM" variant="info">{note}</Alert>
    ))}
  </Flex>
);
