import os

SECRET_KEY = 'not a secret'
USE_TZ = True
DEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'
INSTALLED_APPS = ['django.contrib.postgres', 'shop']
DATABASES = {
    'default': {
        'ENGINE': 'django.db.backends.postgresql',
        'HOST': os.environ['PGHOST'],
        'NAME': os.environ['PGDATABASE'],
        'USER': os.environ['PGUSER'],
    }
}
