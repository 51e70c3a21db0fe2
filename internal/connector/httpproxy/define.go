package httpproxy

import (
	"errors"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
)

// Define makes the connector of an authenticator for the table of connectors.
func Define[C auth.Section](d auth.Definition[C]) connector.Definition {
	return connector.Define(connector.Definition{
		Summary:          d.Summary,
		Credentials:      d.Credentials,
		OtherCredentials: d.OtherCredentials,
		Share:            share,
		ClientEnv:        clientEnv,
	}, func(config C, setup connector.Setup) (connector.Connector, error) {
		env, envErr := readEnvironment(setup.LookupEnv)
		s, rulesErr := newService(config.Proxy(), setup, d.Placeholder)
		authenticator, authErr := d.New(config, auth.Setup{
			Service: setup.Service, Credentials: setup.Credentials,
			Client: ownClient(env), Warn: setup.Warn, Log: setup.Log,
		})
		if err := errors.Join(envErr, rulesErr, authErr); err != nil {
			if closer, ok := authenticator.(connector.Closer); ok {
				closer.Close()
			}
			return nil, err
		}
		s.use(authenticator)
		return newConnector(env, authorityOf(setup), setup.Log, s), nil
	})
}

// share makes one connector of several: their routes are searched together.
func share(members []connector.Member) (connector.Connector, error) {
	var all []*service
	var first *Connector
	for _, m := range members {
		c, ok := m.Connector.(*Connector)
		if !ok {
			return nil, errors.New("only HTTP connectors share an address")
		}
		if first == nil {
			first = c
		}
		for _, s := range c.services {
			member := *s
			member.kind, member.credentials = m.Kind, m.Credentials
			all = append(all, &member)
		}
	}
	if err := ties(all); err != nil {
		return nil, err
	}
	return newConnector(first.env, first.authority, first.log, all...), nil
}
