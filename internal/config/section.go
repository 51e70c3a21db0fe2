package config

// Section is a part of the file that its owner decodes: the config of a
// connector or the settings of a provider. The zero Section is empty.
type Section struct {
	file string
	node *node
}
