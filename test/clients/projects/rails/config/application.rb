require 'rails'
require 'active_record/railtie'

class Shop < Rails::Application
  config.load_defaults 6.1
  config.eager_load = false
  config.secret_key_base = 'not a secret'
  config.logger = Logger.new(nil)
  config.active_record.dump_schema_after_migration = false
end
