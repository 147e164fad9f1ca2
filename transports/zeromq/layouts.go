package zeromq

import (
	"fmt"
	"slices"
	"strings"

	"greenroom/hub"
)

// layouts are ours, by the names that operators write.
var layouts = []struct {
	name   string
	layout Layout
}{
	{"greenroom", Greenroom}, {"pushpin", Pushpin}, {"text-space", TextSpace}, {"text-colon", TextColon},
	{"json-type", JSONType}, {"bitcoin", Bitcoin}, {"raw", Raw},
}

// Layouts are the names that [LayoutNamed] knows.
func Layouts() []string {
	names := make([]string, len(layouts))
	for i, l := range layouts {
		names[i] = l.name
	}
	return names
}

// LayoutNamed returns the layout called greenroom, pushpin, text-space, text-colon, json-type, bitcoin or raw.
func LayoutNamed(name string) (Layout, error) {
	for _, l := range layouts {
		if l.name == name {
			return l.layout, nil
		}
	}
	return nil, fmt.Errorf("no layout is called %.32q: want one of %s", name, strings.Join(Layouts(), ", "))
}

// PayloadRules are the names that [PayloadRuleNamed] knows.
func PayloadRules() []string { return []string{"auto", "json", "text", "binary"} }

// PayloadRuleNamed returns the rule called auto, json, text or binary.
func PayloadRuleNamed(name string) (PayloadRule, error) {
	i := slices.Index(PayloadRules(), name)
	if i < 0 {
		return 0, fmt.Errorf("no payload rule is called %.32q: want one of %s", name, strings.Join(PayloadRules(), ", "))
	}
	return PayloadRule(i), nil
}

// check refuses a format that could not publish anything.
func (f Format) check() error {
	if f.Room == "" {
		if f.Layout == Raw {
			return fmt.Errorf("the layout raw needs a room to publish into")
		}
	} else if err := hub.CheckRoom(f.Room); err != nil {
		return err
	}
	if err := checkEvent(f.Event); err != nil {
		return err
	}
	return checkAddress(f.Namespace, "r")
}
