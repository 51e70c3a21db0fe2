package audit

import (
	"encoding/json"
	"maps"
	"slices"

	"secretless/internal/connector"
)

// Version is the v of every line. Within a version fields are added, and none
// is renamed, taken away or given another meaning.
const Version = 1

type object = map[string]any

// fields of one type of event: those that are always there and those that may
// be. Every event has time, event, v, run and seq, and may be shortened.
type fields struct {
	doc           string
	always, maybe []string
}

func words(list ...string) []string { return list }

// ofConnection are the fields of every event about a connection.
func ofConnection(doc string, always, maybe []string) fields {
	return fields{
		doc,
		append(words("service", "connector", "connection", "listener"), always...),
		append(words("remote", "peer"), maybe...),
	}
}

// events are all types with their fields.
func events() map[Type]fields {
	return map[Type]fields{
		Opened:    ofConnection("A client was let in. Nothing that it sent was read yet.", nil, nil),
		Refused:   ofConnection("A client was not let in.", words("reason"), nil),
		Connected: ofConnection("The target was logged in to. Nothing was exchanged yet.", words("target"), words("credentials")),
		Failed:    ofConnection("A connection that was opened came to no session.", words("reason", "seconds"), nil),
		Closed: ofConnection("A connection that was opened has ended.",
			words("bytes_to_target", "bytes_to_client", "seconds"), words("reason")),
		Used: ofConnection("A credential is about to be used for a request or a signature.",
			words("detail"), words("credentials", "request")),
		Answered: ofConnection("A request was answered.",
			words("detail", "status", "bytes_to_target", "bytes_to_client", "seconds"), words("request", "target")),
		Started: {"The broker runs. The first event of a run.", words("version", "config", "services"), nil},
		Stopped: {"The broker has stopped in order. The last event of a run.", words("by", "seconds"), nil},
		Reload: {
			"The configuration was read again, and taken or not.",
			words("by", "outcome", "config", "services", "seconds"), words("errors", "peer"),
		},
		Rotated: {
			"Credentials of a service are others than before.",
			words("service", "connector", "reason"),
			words("credentials", "connection", "listener", "remote", "peer"),
		},
		Admin: {
			"Somebody has asked for something through the admin socket.",
			words("action", "outcome", "seconds"), words("detail", "connection", "peer"),
		},
		Lost: {"Events before this one could not be written.", words("count"), nil},
	}
}

// properties are the definitions of all fields.
func properties() object {
	text, count := object{"type": "string"}, object{"type": "integer", "minimum": 0}
	with := func(o object, doc string) object {
		out := maps.Clone(o)
		out["description"] = doc
		return out
	}
	return object{
		"time":            object{"type": "string", "pattern": `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`, "description": "When it happened, UTC."},
		"v":               object{"const": Version, "description": "Version of this format."},
		"run":             object{"type": "string", "pattern": "^[0-9a-f]{16}$", "description": "Of one run of the broker: with connection, it names a connection."},
		"seq":             object{"type": "integer", "minimum": 1, "description": "Number of this line in its run and output. Where one is missing, a line is missing."},
		"service":         with(text, "Name of the service; of an address that several share where it is about no single one."),
		"connector":       with(text, "Id of the service's connector; for HTTP, what adds the credential."),
		"connection":      object{"type": "integer", "minimum": 1, "description": "Number of the connection in its run."},
		"listener":        with(text, "Address that the client connected to."),
		"remote":          with(text, "Address of the client's end."),
		"peer":            closedObject("The process that connected, as the kernel tells it.", words("uid"), peerProperties()),
		"target":          closedObject("Who answered at the other end.", words("address"), targetProperties()),
		"credentials":     object{"type": "array", "minItems": 1, "items": referenceSchema(), "description": "Where the credentials come from that are used; never a value."},
		"request":         closedObject("The HTTP request.", words("method", "scheme", "host", "path"), requestProperties()),
		"reason":          object{"enum": reasons(), "description": "Why, as a stable word."},
		"detail":          with(text, "What a credential is used for, or what an action is about, in words."),
		"status":          object{"type": "integer", "minimum": 1, "description": "Status of the answer; 1 where there was none."},
		"bytes_to_target": with(count, "Bytes from the client to the target; of a request, those of its body."),
		"bytes_to_client": with(count, "Bytes from the target to the client; of a request, those of the answer's body."),
		"seconds":         object{"type": "number", "minimum": 0, "description": "How long it took: from accept, from the request or from the start."},
		"by":              object{"enum": words("signal", "watch", "admin", "retry", "start", "context"), "description": "What caused it: a signal; a change of the configuration that is watched; the admin socket; a reload that failed and is tried again; a start that failed; the end of the program around the broker."},
		"action":          object{"enum": words(ActionConnect, ActionClose, ActionDrain, ActionLevel, ActionProfile), "description": "What was asked for: to connect, by a user who may not; to close the connection; to drain services; to change the log level; a profile of the process."},
		"outcome":         object{"enum": words(OK, Fail), "description": "Whether it was done; of a reload, whether the configuration was taken: if not, the one before goes on."},
		"services":        with(count, "How many services run now."),
		"errors":          with(count, "How many mistakes the configuration has."),
		"version":         with(text, "Version of the broker."),
		"config":          with(text, "Path of the configuration; - for standard input."),
		"count":           object{"type": "integer", "minimum": 1, "description": "How many events are missing."},
		"shortened":       object{"const": true, "description": "The line would have been too long: texts are cut, and credentials left out."},
	}
}

func peerProperties() object {
	id := object{"type": "integer", "minimum": 0}
	return object{
		"uid": id, "gid": id, "pid": object{"type": "integer", "minimum": 1},
		"executable": object{"type": "string"}, "container": object{"type": "string"}, "pod": object{"type": "string"},
	}
}

func targetProperties() object {
	text := object{"type": "string"}
	return object{
		"address": text, "remote": text, "host_key": text,
		"verified": object{"type": "boolean", "description": "The certificate or host key was checked. If not, it is what whoever answered has shown."},
		"tls": closedObject("The connection's TLS and the target's certificate.", words("version"), object{
			"version": text, "subject": text, "issuer": text,
			"names":  object{"type": "array", "items": text, "maxItems": maxNames},
			"sha256": object{"type": "string", "pattern": "^[0-9a-f]{64}$"},
		}),
	}
}

func referenceSchema() object {
	text := object{"type": "string"}
	return closedObject("The credential's name, the provider (literal: the configuration file), and the id in it.",
		words("name", "from"), object{"name": text, "from": text, "get": text})
}

func requestProperties() object {
	text := object{"type": "string"}
	return object{"method": text, "scheme": text, "host": text, "path": object{"type": "string", "description": "Without the query."}}
}

// reasons are all words that reason can be.
func reasons() []string {
	list := words("peer", "audit", "idle", "broken", "administrator", Changed, Rejected)
	for k := connector.KindInternal; k <= connector.KindClientGone; k++ {
		list = append(list, k.String())
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func closedObject(doc string, required []string, properties object) object {
	return object{
		"type": "object", "description": doc, "required": required, "properties": properties, "additionalProperties": false,
	}
}

// Schema is the JSON Schema of a line.
func Schema() []byte {
	defs, all := object{}, events()
	var one []any
	known := properties()
	for _, typ := range slices.Sorted(maps.Keys(all)) {
		f := all[typ]
		required := slices.Concat(words("time", "event"), f.always, words("v", "run", "seq"))
		mine := object{"event": object{"const": typ}}
		for _, name := range slices.Concat(required, f.maybe, words("shortened")) {
			if name != "event" {
				mine[name] = object{"$ref": "#/$defs/" + name}
				defs[name] = known[name]
			}
		}
		defs["event-"+string(typ)] = closedObject(f.doc, required, mine)
		one = append(one, object{"$ref": "#/$defs/event-" + string(typ)})
	}
	text, err := json.MarshalIndent(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "An audit event of Secretless", "type": "object", "oneOf": one, "$defs": defs,
	}, "", "  ")
	if err != nil {
		return nil // maps of strings and numbers encode
	}
	return append(text, '\n')
}
