package awsssm

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"secretless/internal/provider"
	"secretless/internal/provider/awsconfig"
)

// errNotFound is a name that the service calls invalid, as it does with one
// that does not exist.
var errNotFound = errors.New("there is no such parameter, or no such version or label of it, in this account and region")

var getParameters = awsconfig.Call{
	Action:   "ssm:GetParameters",
	On:       "this parameter",
	NotFound: errNotFound.Error(),
}

// read makes one call and puts the values under the names that were asked for.
func (p parameters) read(ctx context.Context, call []ref, values map[string][]byte) error {
	names := make([]string, len(call))
	for i, r := range call {
		names[i] = r.name
	}
	what := getParameters
	what.Region = call[0].region
	var found []types.Parameter
	err := p.Do(ctx, strings.Join(names, ", "), what, func(ctx context.Context, c client) error {
		decrypt := true
		out, err := c.GetParameters(ctx, &ssm.GetParametersInput{Names: names, WithDecryption: &decrypt}, func(o *ssm.Options) {
			if what.Region != "" {
				o.Region = what.Region
			}
		})
		if err == nil {
			found = out.Parameters
		}
		return err
	})
	if err != nil {
		return err
	}
	var missing []string
	for _, r := range call {
		v, ok := r.find(found)
		if !ok {
			missing = append(missing, r.name)
			continue
		}
		values[r.name] = []byte(v)
	}
	if len(missing) > 0 {
		return &provider.Error{Provider: p.instance, Ref: strings.Join(missing, ", "), Err: errNotFound}
	}
	return nil
}

// find is r's value among an answer's. The service names a parameter by its
// name and tells version or label apart; one of another account by its ARN.
func (r ref) find(found []types.Parameter) (string, bool) {
	for _, p := range found {
		if p.Value == nil || r.name != r.base && str(p.Selector) != strings.TrimPrefix(r.name, r.base) {
			continue
		}
		if str(p.Name) == r.base || str(p.ARN) == r.base {
			return *p.Value, true
		}
	}
	return "", false
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
