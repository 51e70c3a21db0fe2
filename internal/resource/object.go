package resource

import (
	"encoding/json"
	"errors"
	"time"
)

// Object is the resource as it was read.
type Object struct {
	Name, Namespace string
	UID             string
	ResourceVersion string
	// Generation counts the changes of the spec.
	Generation int64
	// Spec is JSON.
	Spec json.RawMessage

	status status
}

// identity is what makes the spec another one.
type identity struct {
	uid        string
	generation int64
}

func (o *Object) identity() identity { return identity{o.UID, o.Generation} }

// status is what is in the resource, ours and others'.
type status struct {
	ObservedGeneration int64       `json:"observedGeneration,omitempty"`
	Services           *int        `json:"services"` // null removes it
	Reporter           string      `json:"reporter"`
	Reported           time.Time   `json:"reported"`
	Conditions         []condition `json:"conditions"`
}

type condition struct {
	Type               string    `json:"type"`
	Status             string    `json:"status"`
	ObservedGeneration int64     `json:"observedGeneration,omitempty"`
	LastTransitionTime time.Time `json:"lastTransitionTime"`
	Reason             string    `json:"reason"`
	Message            string    `json:"message"`
}

// wireObject is an object in JSON.
type wireObject struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name            string `json:"name"`
		Namespace       string `json:"namespace"`
		UID             string `json:"uid"`
		ResourceVersion string `json:"resourceVersion"`
		Generation      int64  `json:"generation"`
	} `json:"metadata"`
	Spec   json.RawMessage `json:"spec"`
	Status json.RawMessage `json:"status"`
	Code   int             `json:"code"` // of an error
}

var (
	errNoObject = errors.New("what the API server sends is no resource: is this the address of a Kubernetes API server?")
	errAnother  = errors.New("the API server sends another resource than the one that was asked for")
)

// object reads w as the resource that was asked for. Of a text that is none
// nothing is repeated.
func (w *wireObject) object(namespace, name string) (*Object, error) {
	m := w.Metadata
	if m.Name != name || m.Namespace != namespace {
		return nil, errAnother
	}
	if m.UID == "" || m.ResourceVersion == "" {
		return nil, errNoObject
	}
	o := &Object{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation, Spec: w.Spec,
	}
	// A status that somebody else has made of another form counts as none.
	if len(w.Status) > 0 && json.Unmarshal(w.Status, &o.status) != nil {
		o.status = status{}
	}
	return o, nil
}
